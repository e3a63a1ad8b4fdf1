"""A name for an answer that the browser may know: it says nothing, and it cannot be made up.

Numbers of assignments and clips follow the order of a corpus, and that order tells emotional sentences from
neutral ones. So the browser gets them encrypted. The same answer always has the same name, on every device and
after every restart of the server, so that an answer that is sent again can be recognised.
"""

import base64
import hashlib
import json

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from workbench.media import secret_key


def seal(assignment_id: int, revision: int) -> str:
    """The browser's name for revision `revision` of the answer to an assignment."""
    message = json.dumps([assignment_id, revision]).encode()
    return base64.urlsafe_b64encode(_cipher().encrypt(message, None)).decode()


def unseal(sealed: object) -> tuple[int, int]:
    """The assignment's id and the revision behind a name; ValueError if it is none of ours."""
    try:
        assignment_id, revision = json.loads(_cipher().decrypt(base64.urlsafe_b64decode(str(sealed)), None))
    except (InvalidTag, ValueError) as error:
        raise ValueError("this answer belongs to no clip of this workbench; reload the page") from error
    return assignment_id, revision


def _cipher() -> AESSIV:
    return AESSIV(hashlib.sha256(b"answers:" + secret_key()).digest())
