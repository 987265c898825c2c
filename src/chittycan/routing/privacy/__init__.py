"""What in a text is private: identifiers of people, secrets, and words that the owner named.

`detect.findings` looks at a text; an ordinary one costs it microseconds. Names of people are not looked for: what finds
them takes a hundred times as long and keeps two of five ordinary prompts at home.
"""
