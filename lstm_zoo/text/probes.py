"""Texts on which an export must answer as its run: of many scripts, and what no text should be."""

TEXTS = [
    text.encode("utf-8", "surrogatepass")
    for text in (
        "",
        " \t\n ",
        "a",
        "A dog runs.",
        "It isn't bad, it's \u2018great\u2019!",
        "rock'n'roll 'n' '",
        "\0\x01\x7f\x85",  # control characters
        "<br />Good<BR>",
        "<pad> <unk> <s> </s>",
        "b " * 500,
        "a" * 2_000,
        "cafe\u0301 \ufb01lm \u2126 \u00bd",  # compatibility characters
        "\u1e9b\u0323",  # marks to sort
        "\u0391\u0345\u0301 \u03a3\u03c2",  # case folding that depends on marks
        "\u0130I\u0131 stra\u00dfe",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u0631\u062d\u0628\u0627 \ufdfa",  # the last becomes 18 characters
        "\u0928\u092e\u0938\u094d\u0924\u0947",
        "\u4eca\u5929\u5f88\u597d",
        "\u1112\u1161\u11ab \ud55c",  # Hangul, apart and together
        "\u202eabc\u202c",
        "\U0001f600\U0001f3fd\u200d\U0001f4bb",
        "\ud800 \udfff",  # lone surrogates
        "\U000e0041\u00ad",  # invisible
        "\u0897a \U00016126",  # newer than some versions of Unicode
        "\ufeff\ufffe\U0010ffff",
    )
]
TEXTS += [b"\xff\xfe not UTF-8 \xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
