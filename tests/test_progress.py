"""How a long transfer says where it is."""

from concurrent.futures import ThreadPoolExecutor

from mc_assets.progress import Transfer


def test_it_says_how_much_of_how_much() -> None:
    said: list[str] = []
    transfer = Transfer("Uploading it", said.append, total=4_000_000, pause=0)
    transfer.add(1_000_000)
    transfer.add(2_500_000)
    assert said == ["Uploading it: 1.0 of 4.0 MB", "Uploading it: 3.5 of 4.0 MB"]


def test_of_an_unknown_length_it_says_what_came() -> None:
    said: list[str] = []
    Transfer("Fetching it", said.append, pause=0).add(1_500_000)
    assert said == ["Fetching it: 1.5 MB"]


def test_what_is_quick_says_nothing_on_its_way_and_is_counted_whole() -> None:
    said: list[str] = []
    transfer = Transfer("Uploading it", said.append, total=8_000_000, pause=600)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(transfer.add, [10_000] * 800))
    assert said == []
    assert str(transfer) == "8.0 of 8.0 MB"
