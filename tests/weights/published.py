"""The architectures of published models, and how many parameters the reference's classes have in them.

``tests/parity/test_parameter_counts.py`` holds the numbers to the reference.
"""

from __future__ import annotations

from typing import Any

_STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
_XLSR_1B = {**_STABLE, "hidden_size": 1280, "num_hidden_layers": 48, "num_attention_heads": 16}
_XLSR_1B |= {"intermediate_size": 5120, "codevector_dim": 1024, "proj_codevector_dim": 1024}
_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}

SIZES: dict[str, dict[str, Any]] = {
    "base": {},
    "large": {**_LARGE, "codevector_dim": 768, "proj_codevector_dim": 768},
    "large LV-60k and XLS-R 300M": {**_STABLE, **_LARGE, "codevector_dim": 768, "proj_codevector_dim": 768},
    "XLS-R 1B": _XLSR_1B,
    "XLS-R 2B": {**_XLSR_1B, "hidden_size": 1920, "intermediate_size": 7680},
    "MMS 1B": {**_XLSR_1B, "adapter_attn_dim": 16, "vocab_size": 154},
}

PARAMETERS = {
    ("base", "ForCTC"): 94_396_320,
    ("base", "ForPreTraining"): 95_044_608,
    ("large", "ForCTC"): 315_461_792,
    ("large", "ForPreTraining"): 317_380_864,
    ("large LV-60k and XLS-R 300M", "ForCTC"): 315_471_520,
    ("large LV-60k and XLS-R 300M", "ForPreTraining"): 317_390_592,
    ("XLS-R 1B", "ForCTC"): 962_538_400,
    ("XLS-R 1B", "ForPreTraining"): 965_514_752,
    ("XLS-R 2B", "ForCTC"): 2_159_321_120,
    ("XLS-R 2B", "ForPreTraining"): 2_162_932_352,
    ("MMS 1B", "ForCTC"): 964_845_850,
}
