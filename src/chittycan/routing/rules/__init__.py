"""Rules of the owner: a condition over what is known of a mail, a task or a request, and what is to be done.

    priority:low                                   model:llama-scout
    from:@court.example AND -has:attachment        priority:high, agent:triage
    subject~"invoice \\d+" (repo:web OR branch:main)  label:billing, stop

`condition` reads and weighs conditions, `actions` the rest; `book` applies several rules in their order.
"""
