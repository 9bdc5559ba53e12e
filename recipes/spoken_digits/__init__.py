"""The recipe that trains and measures the embedded model of spoken digits.

Read the files in this order: ``corpus``, ``espeak``, ``flite``, ``kokoro`` and ``open_speech`` (the clips), ``augmentation`` and ``strings`` (clips to
strings of digits), ``batches`` (strings to batches), ``architecture`` (the model), ``pretrain``, ``train``, ``evaluate``, ``fold`` (all of them).
"""
