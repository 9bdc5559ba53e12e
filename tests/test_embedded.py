import pytest

from tfwav2vec2 import embedded


def test_the_installed_package_comes_before_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "_PACKAGE", tmp_path / "tfwav2vec2")
    with pytest.raises(FileNotFoundError, match="lacks the embedded model 'digits'"):
        embedded.embedded_model("digits")
    for folder in (
        tmp_path / "saved_models" / "digits",
        tmp_path / "tfwav2vec2" / "saved_models" / "digits",
    ):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        assert embedded.embedded_model("digits") == folder
