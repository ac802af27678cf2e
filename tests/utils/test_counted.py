from lightning_stdim.utils.counted import counted


def test_one_is_singular() -> None:
    found = [counted(number, "frame") for number in (0, 1, 2)]
    assert found == ["0 frames", "1 frame", "2 frames"]
