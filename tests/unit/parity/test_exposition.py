"""Reading pages in Prometheus' text format, whatever they are."""

from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import any_text

from telegraf_bitcoin_ipc.parity.exposition import printable, read

PIECES = (*'a{}"\\=, \n1\x1bé', "bitcoin_x", "# TYPE a counter\n", "_total", "NaN")
"""What a page is made of, and what may be in it by mistake."""


@settings(derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | any_text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """A malformed page raises ValueError and nothing else; what is read of any other is printable."""
    try:
        page = read(text)
    except ValueError:
        return
    for sample in page:
        assert all(each.isprintable() for each in (sample.name, *sample.labels, *sample.labels.values()))


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters()))
def test_printable_text_is_plain(text: str) -> None:
    """All but printable ASCII is escaped, lone surrogates and directions of writing included."""
    shown = printable(text)
    assert shown.isascii()
    assert shown.isprintable() or not shown
