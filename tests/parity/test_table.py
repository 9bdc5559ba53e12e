"""The script of the README's table fails when a row is missing or too far off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.matrix import BACKENDS, CLASSES, ROWS, VARIANTS
from tests.parity.table import BEGIN, END, Measured, faults, render, replace_table, rows_missing_from

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def measured() -> Measured:
    good = {"outputs": 1e-7, "hidden_states": 1e-7, "attentions": 1e-8, "loss": 1e-8, "gradients": 0.01}
    return {(backend, row): dict(good) for backend in BACKENDS for row in ROWS}


def test_every_class_and_variant_has_a_row() -> None:
    assert {row.variant for row in ROWS} == set(VARIANTS)
    assert {row.task for row in ROWS} == set(CLASSES)
    assert len(ROWS) == len(set(ROWS))


def test_a_complete_run_is_accepted(measured: Measured) -> None:
    assert faults(measured, "tiny") == []


def test_a_missing_row_is_a_fault(measured: Measured) -> None:
    del measured["jax", ROWS[3]]
    (fault,) = faults(measured, "tiny")
    assert fault == f"{ROWS[3].task}, {ROWS[3].variant}, jax: missing"


@pytest.mark.parametrize(
    ("what", "value"),
    [("outputs", 2e-5), ("outputs", float("nan")), ("loss", 2e-5), ("gradients", 1.1), ("gradients", None)],
)
def test_a_value_beyond_its_limit_is_a_fault(measured: Measured, what: str, value: float | None) -> None:
    measured["tensorflow", ROWS[0]][what] = value
    (fault,) = faults(measured, "tiny")
    assert what in fault


def test_the_table_can_be_found_again(measured: Measured) -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert len(rows_missing_from(document)) == len(ROWS) + 1
    written = replace_table(document, render(measured), "base")
    assert rows_missing_from(written) == []
    assert written.startswith("before\n")
    assert written.endswith("\nafter")
    assert "old" not in written
    lines = written.splitlines()
    without_one = "\n".join(line for line in lines if f"`{ROWS[5].task}` | {ROWS[5].variant} |" not in line)
    assert rows_missing_from(without_one) == [f"{ROWS[5].task}, {ROWS[5].variant}"]


def test_the_readme_has_every_row() -> None:
    assert rows_missing_from(README.read_text()) == []
