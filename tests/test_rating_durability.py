"""What a rater was told is saved stays saved, whatever happens to the server."""

import json

from benchmarks.rating_load import kill_repeatedly


def test_no_acknowledged_answer_is_lost_or_stored_twice_when_the_server_is_killed_again_and_again(data_root):
    result = kill_repeatedly(n_raters=6, kills=3)
    assert result["acknowledged"] >= 18
    assert (result["lost"], result["stored_twice"], result["stored_differently"]) == (0, 0, 0), json.dumps(result)
