from __future__ import annotations

from sedic.lab.bench.published import published, published_times


def test_every_point_has_a_source_and_plausible_numbers() -> None:
    for dataset, least in (("kodak", 17), ("clic2020", 9)):
        points = published(dataset)
        assert len(points) >= least
        for point in points:
            assert point.source and point.values and 0.004 < point.bpp < 0.1
            assert 0 < point.values.get("LPIPS", 0.5) < 1 and 0 < point.values["DISTS"] < 0.5
            assert 10 < point.values.get("PSNR", 20) < 30
    assert published("folder:x") == ()


def test_curves_rise_in_rate_and_fall_in_distance() -> None:
    curve = [point for point in published("kodak") if point.codec == "StableCodec"]
    assert [p.bpp for p in curve] == sorted(p.bpp for p in curve) and len(curve) == 5
    distances = [p.values["LPIPS"] for p in curve]
    assert distances == sorted(distances, reverse=True)


def test_times_are_the_papers() -> None:
    ours = next(time for time in published_times() if time.codec == "SEDIC, 20 steps")
    assert (ours.encode, ours.decode, ours.device) == (0.157, 2.33, "RTX 4090")
