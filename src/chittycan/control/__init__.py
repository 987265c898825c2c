"""What an owner can look at and change: each `Operation` is a function of a `Network`, offered over HTTP and by `can`.

One module per thing (models, usage, keys, integrations, …); `table` lists them all. `checks` is the doctor.
"""
