"""What lies on a rater's desk: the clip to rate now, the one after it, and what the page remembers about both.

`look` asks the database once per run of the page. `Desk` is what one browser tab remembers in its session.
"""

from dataclasses import dataclass, field, replace

from sqlalchemy import Engine, func, or_, select
from sqlalchemy.orm import Session, joinedload

from db.models import Assignment, Clip, LabelingRound, Rater, Rating, now
from db.session import writing
from labeling import assignment as assignments
from workbench import media
from workbench.player import PlayerSource
from workbench.rater.saving import Outcome
from workbench.rater.seal import seal


@dataclass
class Desk:
    """One browser tab's memory between two runs of the page; what must not be lost is in the database."""

    # By assignment, or "example". Kept, because fresh addresses at every run would make the browser load anew.
    sources: dict[int | str, PlayerSource] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)  # assignments whose clip did not load
    renewed: set[int] = field(default_factory=set)  # assignments whose addresses had expired and were made anew
    revising: int | None = None  # an earlier assignment on the desk again, by Undo
    saved_here: int = 0  # answers saved in this tab; the first clip of a visit does not start by itself
    outcome: Outcome | None = None

    def source(self, place: int | str, clip: Clip, viewer: str) -> PlayerSource:
        """The addresses of the clip of an assignment, or of the example; nothing in them names the clip."""
        if place not in self.sources:
            name = seal(place, 0) if isinstance(place, int) else place
            plain = media.clip_source(clip, viewer)
            self.sources[place] = replace(plain, id=name, topology_id=f"corpus-{clip.corpus_id}")
        return self.sources[place]

    def keep_only(self, *assignment_ids: int | None) -> None:
        """Forget the addresses of clips that have left the desk."""
        self.sources = {key: source for key, source in self.sources.items() if key in assignment_ids}

    def note_error(self, assignment_id: int, event: dict) -> None:
        """Remember that a clip could not be shown; a late word about one that has left the desk is ignored.

        Addresses that have expired (a tab that was left open overnight) are made anew, and the player goes on by
        itself; once, lest a clock that is wrong make the page run for ever.
        """
        if event.get("type") != "error" or event.get("id") != self.sources[assignment_id].id:
            return
        if str(event.get("message")).startswith("expired") and assignment_id not in self.renewed:
            self.renewed.add(assignment_id)
            self.sources.clear()
        else:
            self.failed.add(assignment_id)


@dataclass(frozen=True)
class Look:
    """What the database says at one run of the page."""

    instructions_read: bool
    study_text: str  # the round's own words, shown after the built-in instructions
    assignment: Assignment | None  # to be rated now, or rated earlier and back on the desk
    answer: Rating | None  # what was answered to it earlier
    upcoming: Assignment | None
    progress: assignments.Progress
    can_undo: bool

    @property
    def answer_key(self) -> str:
        """The browser's name for the answer that is asked for."""
        return seal(self.assignment.id, self.answer.revision + 1 if self.answer else 1)


def look(session: Session, rater_id: int, desk: Desk) -> Look:
    """Everything that the page needs to know, in a handful of queries."""
    rater = session.get_one(Rater, rater_id)
    progress = assignments.progress(session, rater_id)
    upcoming = assignments.next_assignment(session, rater_id)
    assignment, answer = _earlier(session, rater_id, desk)
    if assignment is None:
        assignment = upcoming
        upcoming = assignments.peek_next(session, rater_id) if assignment else None
        can_undo = progress.done + progress.practice_done > 0
    else:
        can_undo = previous(session, rater_id, assignment.id) is not None
    return Look(
        instructions_read=rater.instructions_read_at is not None,
        study_text=assignment.round.instructions if assignment else "",
        assignment=assignment,
        answer=answer,
        upcoming=upcoming,
        progress=progress,
        can_undo=can_undo,
    )


def _earlier(session: Session, rater_id: int, desk: Desk) -> tuple[Assignment | None, Rating | None]:
    """The answer that Undo put back on the desk, unless it may not be changed any more."""
    if desk.revising is None:
        return None, None
    assignment = session.scalar(
        select(Assignment)
        .where(Assignment.id == desk.revising, Assignment.rater_id == rater_id, Assignment.freed_at.is_(None))
        .options(joinedload(Assignment.round), joinedload(Assignment.clip).joinedload(Clip.corpus))
    )
    if assignment is None or assignment.done_at is None:
        desk.revising = None
        return None, None
    newest = select(Rating).where(Rating.assignment_id == assignment.id).order_by(Rating.revision.desc()).limit(1)
    return assignment, session.scalar(newest)


def previous(session: Session, rater_id: int, assignment_id: int) -> int | None:
    """The assignment that the rater answered before `assignment_id`; the last one if that is still open."""
    shown = session.get(Assignment, assignment_id)
    answered = (
        select(Assignment.id)
        .join(Assignment.round)
        .where(Assignment.rater_id == rater_id, Assignment.done_at.is_not(None), Assignment.freed_at.is_(None))
        .where(LabelingRound.closed_at.is_(None))
        .order_by(Assignment.done_at.desc(), Assignment.id.desc())
    )
    if shown is not None and shown.done_at is not None:
        answered = answered.where(Assignment.done_at < shown.done_at)
    return session.scalar(answered.limit(1))


def rated_ever(session: Session, rater_id: int) -> int:
    """How many clips the rater has rated, practice aside, in rounds that are closed, too."""
    rated = select(func.count()).where(
        Assignment.rater_id == rater_id, Assignment.done_at.is_not(None), Assignment.kind != "practice"
    )
    return session.scalar(rated) or 0


def example_clip(session: Session, rater_id: int) -> Clip | None:
    """A clip for the instructions: one that this rater is not asked to rate, else a practice clip.

    Always the same one for a rater, and among all raters spread over the corpus.
    """
    first = assignments.next_assignment(session, rater_id)
    if first is None:
        return None
    mine = select(Assignment.clip_id).where(Assignment.rater_id == rater_id, Assignment.kind != "practice")
    others = session.scalars(
        select(Clip)
        .where(Clip.corpus_id == first.clip.corpus_id, Clip.status == "usable", Clip.id.not_in(mine))
        .where(or_(Clip.playback_path.is_not(None), Clip.video_path.is_not(None)))
        .order_by(Clip.id)
        .options(joinedload(Clip.corpus))
    ).all()
    return others[rater_id * 7919 % len(others)] if others else first.clip


def note_instructions_read(engine: Engine, rater_id: int) -> None:
    """Remember for good that the rater has read the instructions."""
    with writing(engine) as session:
        rater = session.get_one(Rater, rater_id)
        rater.instructions_read_at = rater.instructions_read_at or now()


def set_language(engine: Engine, rater_id: int, language: str | None) -> None:
    """Remember the rater's language for good, on every device; None changes nothing."""
    if language is None:
        return
    with writing(engine) as session:
        session.get_one(Rater, rater_id).language = language
