"""The tables of an export: what the graph's ops know of Unicode."""

import unicodedata

from lstm_zoo.text import numpy_tokenizers, unicode_tables


def test_the_tables_are_read_as_they_were_written_and_are_small(tmp_path):
    unicode_tables.save(tmp_path)
    assert (tmp_path / "unicode.npz").stat().st_size < 60_000
    read = numpy_tokenizers.read_tables(tmp_path)
    for name, array in unicode_tables.compute()._asdict().items():
        assert getattr(read, name).tolist() == array.tolist(), name


def test_combining_classes_are_unicodes():
    """No op returns them; they never change, once a character has one."""
    tables = unicode_tables.compute()
    found = dict(zip(tables.marks.tolist(), tables.mark_classes.tolist(), strict=True))
    known = {
        code: unicodedata.combining(chr(code))
        for code in range(0x110000)
        if unicodedata.combining(chr(code)) and not unicodedata.decomposition(chr(code))
    }
    assert known.items() <= found.items() and len(known) > 800
    assert all(unicodedata.category(chr(code)) == "Cn" for code in found.keys() - known.keys())
