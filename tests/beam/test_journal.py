import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.beam.journal import Journal, Outcome
from tfwav2vec2.beam.recordings import BatchRecording

# Every character, half of a pair too: file names hold what they will.
names = st.text(st.characters(), min_size=1)
outcomes = st.builds(
    Outcome, names, st.text("0123456789abcdef"), st.text(), st.floats(0, 1e5), st.none() | st.text()
)


@given(st.lists(outcomes, max_size=5))
def test_what_is_written_is_read(tmp_path_factory, written):
    journal = Journal(tmp_path_factory.mktemp("journal"))
    journal.write("0001-000000", written)
    assert list(journal.outcomes()) == written
    content = journal.path_of("0001-000000").read_text(encoding="utf-8")
    assert len([json.loads(line) for line in content.split("\n")[:-1]]) == len(written)


def test_runs_are_counted_and_read_in_their_order(tmp_path):
    journal = Journal(tmp_path)
    assert (journal.next_run(), journal.shards()) == (1, set())
    for name in ("0002-000000", "0001-000001", "0001-000000"):
        journal.write(name, [Outcome(name, "", "", 0.0)])
    (tmp_path / ".half.tmp").write_text("{")
    assert journal.next_run() == 3
    assert [outcome.id for outcome in journal.outcomes()] == ["0001-000000", "0001-000001", "0002-000000"]


def recording(name, size=1):
    return BatchRecording(name, f"/{name}", size=size)


def outcome_of(item, text, error=None):
    return Outcome(item.id, item.fingerprint, text, 1.0, error)


def test_a_text_outlasts_failures_and_stands_once(tmp_path):
    journal = Journal(tmp_path)
    one, two, three = map(recording, ("one", "two", "three"))
    journal.write("0001-000000", [outcome_of(one, "", "bad"), outcome_of(two, "heard")])
    journal.write("0002-000000", [outcome_of(one, "", "worse"), outcome_of(two, "", "bad")])
    found = journal.outcomes_of([one, two, three])
    assert found == {"one": outcome_of(one, "", "worse"), "two": outcome_of(two, "heard")}
    journal.write("0003-000000", [outcome_of(one, "heard at last"), outcome_of(two, "heard again")])
    assert {name: item.text for name, item in journal.outcomes_of([one, two]).items()} == {
        "one": "heard at last",
        "two": "heard",
    }


def test_what_was_heard_in_another_file_does_not_count(tmp_path):
    journal = Journal(tmp_path)
    journal.write("0001-000000", [outcome_of(recording("a", size=1), "old"), outcome_of(recording("b"), "b")])
    assert journal.outcomes_of([recording("a", size=2)]) == {}


@pytest.mark.parametrize("content", ["{\n", '{"id": "a"}\n', "[]\n", "\xff\n"])
def test_damage_names_the_file_and_the_remedy(tmp_path, content):
    journal = Journal(tmp_path)
    journal.path_of("0001-000000").write_text(content, encoding="latin-1")
    with pytest.raises(OSError, match=r"0001-000000\.jsonl is damaged .*: delete it"):
        list(journal.outcomes())
