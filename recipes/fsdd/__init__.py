"""The free spoken digit dataset: which digit a stranger says, and which of five speakers says a word never heard.

Each task is trained here and with the reference on torch, from the same clips with the same effort. Read the files in this
order: ``clips`` (who hears what), ``settings`` (model, budget, batches), ``train`` (ours), ``torch_peer`` (theirs),
``scores``, ``difference``, ``record``, ``compare``.
"""
