"""A participant in a real browser: opens a link, takes the steps, watches and answers, as a person does."""

from playwright.sync_api import BrowserContext, Page

PATIENCE_MS = 45_000  # a busy machine


class StudyVisitor:
    """One browser tab in a study."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.goto(address)

    def begin(self, start: str = "Start") -> None:
        """Agree, count the beeps (by trying), read."""
        self.page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="agree").click()
        self.count_beeps()
        self.page.get_by_role("button", name=start).click()

    def count_beeps(self) -> None:
        """Guess until it is right: each wrong guess brings another sound, the right one the next page."""
        question = self.page.get_by_text("How many beeps")
        question.wait_for()
        tried = 0
        while question.count():
            sound = self.page.locator("audio").get_attribute("src")
            self.page.get_by_role("radio", name=str(2 + tried % 4), exact=True).click()
            another = "before => document.querySelector('audio')?.getAttribute('src') !== before"
            self.page.wait_for_function(another, arg=sound)
            tried += 1

    def wait_for_films(self) -> None:
        self.page.locator(".film").first.wait_for()
        self.page.wait_for_function(f"{FILMS}.length && {FILMS}.every(f => 'ready ended'.includes(f.dataset.state))")

    def watch(self) -> None:
        """Play every film to its end."""
        self.wait_for_films()
        for place, film in enumerate(self.page.locator(".film").all()):
            if "watched" not in (film.get_attribute("class") or ""):
                self.page.keyboard.press("ad"[place])
                self.page.wait_for_function(f"{FILMS}[{place}].classList.contains('watched')")

    def answer(self, *digits: str) -> None:
        """Watch, answer by the keyboard, and wait for what comes next."""
        self.watch()
        before = self.tokens()
        for digit in digits:
            self.page.keyboard.press(digit)
        self.page.keyboard.press("Enter")
        self.wait_for_another(before)

    def tokens(self) -> str:
        """What tells this trial's films from others: their places in memory."""
        return self.page.evaluate(f"{FILMS}.map(f => f.querySelector('video').src).join()")

    def wait_for_another(self, before: str) -> None:
        self.page.wait_for_function(
            f"before => !{FILMS}.length || ({FILMS}.every(f => f.dataset.state === 'ready')"
            f" && {FILMS}.map(f => f.querySelector('video').src).join() !== before)",
            arg=before,
        )


FILMS = ("[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]"
         ".flatMap(e => [...(e.shadowRoot?.querySelectorAll('.film') ?? [])])")  # fmt: skip
