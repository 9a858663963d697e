"""The report of a run: what is in it, and that it needs nothing from elsewhere."""

import json
import shutil

import pytest

import lstm_zoo
from lstm_zoo.errors import DataError
from lstm_zoo.files import find_damage
from lstm_zoo.runs import plots, report
from tests.conftest import READY_RUNS, run_cli
from tests.runs.test_page import Structure

HOSTILE = "<script>alert(1)</script>"
PAIRS = (["5 hours", HOSTILE, "a"], ["5 heures", "x", HOSTILE])


@pytest.fixture
def data(shared_clip):
    return {
        "sentiment": ([HOSTILE, "dull", "moving"], ["pos", "neg", "pos"]),
        "speech": ([shared_clip] * 3, ["zero four", "one", HOSTILE]),
        "translation": PAIRS,
    }


@pytest.fixture
def shared_clip():
    return str(READY_RUNS / "spoken.wav")


def written(pipeline, data, folder, training=None):
    """Write a report of these data, and return its text."""
    scores = pipeline.evaluate(data)
    title = plots.title(pipeline.run, "test", scores["examples"])
    captions = pipeline.draw(data, scores, title, folder)
    assert {path.name for path in folder.iterdir()} == {*captions}
    worst = pipeline.worst(scores.pop("predictions"), report.WORST)
    drawn = {folder / name: caption for name, caption in captions.items()}
    report.write(folder / "report.html", pipeline, {"test": scores}, worst, drawn, training)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", ["sentiment", "speech", "translation"])
def test_a_report_has_all_plots_tables_and_texts_of_a_family(family, data, tmp_path):
    pipeline = lstm_zoo.load(READY_RUNS / family)
    html = written(pipeline, data[family], tmp_path)
    found = Structure(html)
    assert found.tags.count("img") == len([*tmp_path.glob("*.png")]) > 0
    assert [link for link in found.links if not link.startswith(("#", "data:image/png"))] == []
    assert "script" not in found.tags
    if family != "speech":  # which normalizes its texts
        assert HOSTILE.replace("<", "&lt;").replace(">", "&gt;") in html
    for part in (
        f"<h1>{family}: {family}</h1>", "row 2", "3 examples", "as by default", "peak memory",
        f"lstm-zoo {family} evaluate {READY_RUNS / family} --data DATA",
        *found.ids,
    ):  # fmt: skip
        assert part.lower() in html.lower(), part
    assert found.ids == [
        "results", "plots", "details", "worst-predictions", "data", "model", "settings", "cost",
        "use",
    ]  # fmt: skip


def test_the_worst_predictions_come_first_and_skipped_rows_not_at_all():
    classifier = lstm_zoo.load(READY_RUNS / "sentiment")
    texts = ["great story", "", "dull", "moving", "dull story"]
    predictions = classifier.evaluate((texts, ["neg", "pos", "pos", "pos", "neg"]))["predictions"]
    rows = classifier.worst(predictions, 20)
    assert {row["text"] for row in rows} == {*texts} - {""}
    right = [row["label"] == row["predicted"] for row in rows]
    assert right == sorted(right)
    assert classifier.worst(predictions, 1) == rows[:1]
    # Texts that are left unanswered count by their most probable class.
    unanswered = classifier.evaluate(
        (texts, ["neg", "pos", "pos", "pos", "neg"]), min_probability=1.0
    )["predictions"]
    assert not any(row["predicted"] for row in unanswered)
    assert [row["text"] for row in classifier.worst(unanswered, 20)] == [r["text"] for r in rows]


def test_changed_settings_come_first_and_the_data_report_has_the_reasons(tmp_path):
    pipeline = lstm_zoo.load(READY_RUNS / "sentiment")
    skipped = [[("a.tsv:3", HOSTILE), ("a.tsv:9", "x")], [("b.tsv:1", "no label")]]
    training = report.Training("all 3 epochs are done; epoch 3 is kept", ["7 duplicates"], skipped)
    html = written(pipeline, (["great"], ["pos"]), tmp_path, training)
    changed, others = html.split("As by default.")
    changed = changed.split("Changed; ")[1]
    config = json.loads((READY_RUNS / "sentiment/config.json").read_text())
    assert config["settings"]["variant"] == "tiny" and config["settings"]["clip_norm"] == 1
    assert ">variant<" in changed and ">clip_norm<" not in changed
    assert ">clip_norm<" in others and ">variant<" not in others
    assert "The training: all 3 epochs are done; epoch 3 is kept." in html
    assert "7 duplicates" in html and "listed in skipped.tsv: 3." in html
    for cell in ("2", "a.tsv:3", "b.tsv:1", "no label"):
        assert f">{cell}</td>" in html
    Structure(html)


def test_a_training_leaves_a_report_that_people_may_change(tmp_path):
    texts = [f"{HOSTILE} {word} {number}" for number in range(20) for word in ("good", "bad")]
    labels = ["<i>pos</i>", "neg $x_{"] * 20
    run = tmp_path / "a <b>run</b>".replace("/", "|")
    settings = {"variant": "tiny", "units": 8, "epochs": 1}
    lstm_zoo.train("sentiment", ([*texts, ""], [*labels, "x"]), run=run, **settings)
    html = (run / "report.html").read_text()
    found = Structure(html)
    assert not {"script", "i", "b"} & {*found.tags}
    assert found.tags.count("img") == len([*run.glob("*.png")]) > 1
    assert "sentiment: a &lt;b&gt;run&lt;|b&gt;" in html
    assert "&lt;i&gt;pos&lt;/i&gt;" in html and "no text" in html
    assert "all 1 epochs are done" in html and "listed in skipped.tsv: 1." in html
    assert find_damage(run) == []
    (run / "report.html").unlink()
    assert find_damage(run) == []
    assert lstm_zoo.load(run).classes == ["<i>pos</i>", "neg $x_{"]


def test_a_report_of_a_damaged_config_is_an_error_that_names_it(tmp_path):
    run = shutil.copytree(READY_RUNS / "sentiment", tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["data"]["training"] = {"examples": 5}
    (run / "config.json").write_text(json.dumps(config))
    classifier, data = lstm_zoo.load(run), (["great"], ["pos"])
    with pytest.raises(DataError, match="config.json"):
        classifier.write_report(tmp_path / "report.html", data, classifier.evaluate(data))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_evaluate_writes_a_report_with_the_columns_that_it_was_given(tmp_path, shared_clip):
    clips = tmp_path / "clips.tsv"
    clips.write_text(f"file\tsaid\n{shared_clip}\tzero four\nnone.wav\tone\n")
    done = run_cli(
        "speech", "evaluate", READY_RUNS / "speech", "--data", clips, "--path-column", "file",
        "--text-column", "said", "--report", tmp_path / "report.html", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["examples"] == 1
    html = (tmp_path / "report.html").read_text()
    found = Structure(html)
    assert found.tags.count("img") == 3
    assert ">clips.tsv<" in html and "clips.tsv:2" in html and "zero four" in html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.tsv", "report.html"]


@pytest.mark.parametrize(
    "seconds, expected",
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min")],
)
def test_durations(seconds, expected):
    assert report._duration(seconds) == expected
