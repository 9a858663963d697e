"""Translation of short sentences, English to French (Tatoeba), no attention.

    python recipes/tatoeba.py --data fra.txt --run runs/tatoeba

Data: tab-separated, the English sentence first and the French one second; 167,130 pairs, `fra.txt`
of www.manythings.org/anki/fra-eng.zip (its release of April 2019; later ones are larger). By seed,
3 % are the test set and 1 % validation data; no sentence of either language is in two of the sets.
Cost: on two cores about 80 minutes, beside tests, and 3 GB.
Target: none.
"""

from pathlib import Path

from pairs import Pairs

# GRUs, a narrower decoder and two poolings, so that all presets together stay below 60 MB. The
# corpus is large for so small a network: less dropout than the default, and few epochs.
SETTINGS = {
    "source": "en",
    "target": "fr",
    "cell": "gru",
    "decoder_units": (384,),
    "pooling": "last+max",
    "dropout": 0.2,
    "batch_tokens": 3_000,
    "epochs": 8,
}
RECIPE = Pairs(
    name="tatoeba",
    guide=__doc__,
    read=Path,
    settings=SETTINGS,
    data="Tatoeba English to French, 167,130 pairs; 3 % test, no shared sentences",
    validation_share=0.01,
    test_share=0.03,
)
main = RECIPE.command()

if __name__ == "__main__":
    main()
