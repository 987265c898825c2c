"""Documents as text: what a PDF, Word file, page or plain file says, for a model to read.

`extract.extract` reads any file; `html.visible_text` reads a page that is at hand; `attach.attach` finds the
files that a prompt names.
"""
