"""The main job from end to end: a corpus at BIWI's topology is imported, labelled by five raters, and released."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from benchmarks.rating_world import World
from db import access
from db.corpus.imitate import imitated_speech, moving_face
from db.corpus.ply import read_ply
from db.corpus.write import Beside, Sequence, write_peers, write_raw
from db.models import Corpus, now
from db.session import reading, writing
from labeling import assignment, releases, votes
from tests.small_corpus import REAL_FACE
from tests.test_rating_in_browser import DESKTOP, Tab

ROOT = Path(__file__).resolve().parents[1]
CLIPS = [("F1", "e01"), ("F1", "e02"), ("F1", "01"), ("M2", "e01"), ("M2", "e02")]


def command(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not REAL_FACE.exists(), reason="the real BIWI mesh is not beside this checkout")
@pytest.mark.parametrize("layout", ["raw", "peers"])
def test_five_raters_label_a_corpus_at_the_real_topology_in_the_browser(
    tmp_path, sqlite_engine, data_root, running_app, browser, layout
):
    mesh = read_ply(REAL_FACE)
    write = {"raw": write_raw, "peers": write_peers}[layout]
    write(tmp_path / "biwi", [
        Sequence(subject, sentence, moving_face(mesh.vertices, 30, seed=seed), imitated_speech(1.2, seed=seed))
        for seed, (subject, sentence) in enumerate(CLIPS)
    ], Beside({"F1": mesh.vertices, "M2": mesh.vertices * 1.02}, mesh.faces))  # fmt: skip

    command("db.corpus", "check", str(tmp_path / "biwi"))
    assert "5 usable" in command("db.corpus", "import", str(tmp_path / "biwi"), "--name", "biwi")

    with writing(sqlite_engine) as session:
        corpus_id = session.scalar(select(Corpus.id).where(Corpus.name == "biwi"))
        links = dict(access.add_rater(session, f"rater-{n}", actor="test") for n in range(5))
        for rater in links:
            rater.instructions_read_at = now()
        session.flush()
        tokens = {rater.id: token for rater, token in links.items()}
        round_id = assignment.create_round(
            session, corpus_id=corpus_id, name="first", rater_ids=list(tokens), repeat_share=0, practice_clips=0,
            actor="test").id  # fmt: skip
    world = World(data_root, sqlite_engine, round_id, tokens, bytes_per_clip=0)

    for rater_id in tokens:
        context = browser.new_context(viewport=DESKTOP)
        tab = Tab(context, running_app, world, rater_id)
        for n in range(3):  # five clips, three votes each, five raters
            with reading(sqlite_engine) as session:
                given = assignment.next_assignment(session, rater_id)
                sentence, subject = given.clip.sentence, given.clip.subject_id
            # Emotional takes happy or, a vote in three, angry; F1 strongly, M2 weakly.
            emotion = "n" if sentence == "01" else "a" if given.slot == 3 else "h"
            if n < 2:
                tab.rate(emotion, "5" if subject == 1 else "2")
            else:  # after the last one there is no next clip, but thanks
                tab.watch()
                tab.press(emotion, "5" if subject == 1 else "2", "Enter")
                tab.page.get_by_text("Thank you").first.wait_for()
        assert len(tab.stored) == 3
        context.close()

    with reading(sqlite_engine) as session:
        assert votes.clip_progress(session, round_id)["complete"].all()
        found = releases.preview(session, round_id)
    with writing(sqlite_engine) as session:
        release_id = releases.make_release(session, found, name="labels-1", actor="test").id
    with reading(sqlite_engine) as session:
        labels = releases.release_labels(session, release_id).set_index("clip")
        subjects = releases.release_subjects(session, release_id).set_index("subject")
    assert labels["label"].to_dict() == {
        "F1_01": "neutral", "F1_e01": "happy", "F1_e02": "happy", "M2_e01": "happy", "M2_e02": "happy",
    }  # fmt: skip
    assert labels["n_votes"].eq(3).all() and not labels["tie"].any()
    assert subjects["score"].to_dict() == {"F1": 5.0, "M2": 2.0}
    assert subjects["selected"].to_dict() == {"F1": True, "M2": False}
