"""Context: one shared JSON document per session, which models, tasks and people read and write.

`merge`, `labels` and `excerpt` are pure; `sessions` keeps the documents.
"""
