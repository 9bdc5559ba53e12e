"""The recipe that trains and measures the embedded model of spoken digits.

Read the files in this order: ``corpus`` and ``synthetic`` (the clips), ``augmentation`` and ``strings`` (clips to
strings of digits), ``batches`` (strings to batches), ``architecture`` (the model), ``train``, ``evaluate``.
"""
