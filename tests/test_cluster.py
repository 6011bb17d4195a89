"""A cluster that fills a cache: of threads with a tiny model, and once of processes of which one is killed."""

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr
from distributed import Client, LocalCluster

from napari_sam import Segmenter, cli
from napari_sam.cache import EmbeddingCache
from napari_sam.cluster import Job, connect, embed
from napari_sam.contrast import estimate_contrast
from napari_sam.selection import Selection

PLANES = [(z,) for z in range(4)]


@pytest.fixture
def job(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4096, (len(PLANES), 48, 48), dtype=np.uint16)
    zarr.create_array(tmp_path / "stack.zarr", data=pixels)
    return Job(str(tmp_path / "stack.zarr"), str(tmp_path / "cache"))


@pytest.fixture
def cluster(tiny_sam, monkeypatch):
    """Two workers that are threads of this process and see the tiny model."""
    monkeypatch.setattr("napari_sam.cluster.load_sam", lambda name, *, device: tiny_sam)
    with LocalCluster(n_workers=2, processes=False, threads_per_worker=1, dashboard_address=None) as workers:
        yield workers


@pytest.fixture
def client(cluster):
    with Client(cluster) as connected:
        yield connected


def failing(plane, times):
    """Let the encoding of a plane fail so many times."""
    encode, left = EmbeddingCache.embed, [OSError("the file server is away")] * times

    def embed_planes(self, planes):
        if plane in planes and left:
            raise left.pop()
        return encode(self, planes)

    return embed_planes


def open_cache(job, sam):
    stack = job.open_stack()
    return EmbeddingCache.open(job.cache, sam=sam, stack=stack, contrast=estimate_contrast(stack))


@pytest.mark.slow
class TestThreads:
    def test_workers_encode_what_one_process_would(self, client, job, tiny_sam):
        assert sorted(done.plane for done in embed(client, job)) == PLANES
        cache = open_cache(job, tiny_sam)
        assert list(cache.embed()) == []
        alone = open_cache(replace(job, cache=None), tiny_sam)
        for plane in PLANES:
            assert torch.equal(cache.get_or_encode(plane).image_embedding, alone.get_or_encode(plane).image_embedding)

    def test_workers_look_from_the_same_side(self, client, job, tiny_sam):
        side = replace(job, selection=Selection(orientation="xz"))
        assert len(list(embed(client, side))) == 48
        assert list(open_cache(side, tiny_sam).embed()) == []

    def test_what_is_there_is_not_encoded_again(self, client, job):
        assert [done.plane for done in embed(client, job, [(2,)])] == [(2,)]
        assert {done.plane: done.new for done in embed(client, job)} == {plane: plane != (2,) for plane in PLANES}

    def test_a_plane_that_fails_is_tried_again(self, client, job, monkeypatch):
        monkeypatch.setattr(EmbeddingCache, "embed", failing((1,), times=3))
        assert len(list(embed(client, job))) == len(PLANES)

    def test_a_plane_that_keeps_failing_is_told_after_the_others_are_done(self, client, job, monkeypatch):
        monkeypatch.setattr(EmbeddingCache, "embed", failing((1,), times=100))
        done = []
        with pytest.raises(OSError, match=r"1 of 4 planes.*plane \(1,\) \(the file server is away\)"):
            done.extend(each.plane for each in embed(client, job))
        assert sorted(done) == [(0,), (2,), (3,)]
        assert self.models_held(client) == 0

    def test_workers_let_go_of_the_model_when_all_is_done(self, client, job):
        planes = embed(client, job)
        next(planes)
        assert self.models_held(client) > 0
        list(planes)
        assert self.models_held(client) == 0

    @staticmethod
    def plugins(client):
        """Names of what each worker keeps."""
        return client.run(lambda dask_worker: list(dask_worker.plugins)).values()

    def models_held(self, client):
        """How many workers are prepared for a job."""
        return sum(name.startswith("sam-embed") for names in self.plugins(client) for name in names)

    def test_the_cluster_goes_on_when_the_client_leaves_and_another_joins_in(self, cluster, job, monkeypatch):
        encode, may_go_on, encoded = EmbeddingCache.embed, threading.Event(), []

        def embed_planes(self, planes):
            if encoded:
                may_go_on.wait(60)
            encoded.extend(planes)
            return encode(self, planes)

        monkeypatch.setattr(EmbeddingCache, "embed", embed_planes)
        with Client(cluster) as first:
            assert next(embed(first, job)).new
        with Client(cluster) as second:
            rest = embed(second, job)
            threading.Timer(1, may_go_on.set).start()
            assert sorted(done.plane for done in rest) == PLANES
        assert sorted(set(encoded)) == PLANES

    def test_a_client_that_has_its_planes_leaves_the_model_to_one_that_waits_for_others(self, cluster, job):
        """Who asked for one plane of a stack, and had it, made those fail that another client still waited for."""
        with Client(cluster) as first, Client(cluster) as second:
            running = embed(first, job)
            next(running)
            assert [each.plane for each in embed(second, job, [(0,)])] == [(0,)]
            assert self.models_held(first) > 0
            assert len(list(running)) == len(PLANES) - 1
            assert self.models_held(first) == 0

    def test_two_clients_may_wait_for_the_same_planes(self, cluster, job):
        """The second one ended with "The worker plugin sam-embed-... does not exist"."""
        with Client(cluster) as first, Client(cluster) as second:
            running = embed(first, job)
            done = [next(running).plane]
            assert sorted(each.plane for each in embed(second, job)) == PLANES
            assert sorted([*done, *(each.plane for each in running)]) == PLANES

    def test_planes_are_encoded_though_another_client_has_just_let_go_of_the_model(self, client, job, monkeypatch):
        encode, may_go_on = EmbeddingCache.embed, threading.Event()

        def embed_planes(self, planes):
            if planes != [(0,)]:
                may_go_on.wait(60)
            return encode(self, planes)

        monkeypatch.setattr(EmbeddingCache, "embed", embed_planes)
        running = embed(client, job)
        done = [next(running).plane]
        for name in {name for names in self.plugins(client) for name in names if name.startswith("sam-embed")}:
            client.unregister_worker_plugin(name)
        may_go_on.set()
        assert sorted([*done, *(each.plane for each in running)]) == PLANES

    def test_the_command_line_gives_planes_to_a_scheduler(self, cluster, job, capsys):
        for new in (len(PLANES), 0):
            with pytest.raises(SystemExit) as end:
                cli.main(["embed", job.image, "--cache", job.cache, "--scheduler", cluster.scheduler_address])
            assert end.value.code == 0
            assert f"4 planes are in {job.cache}; {new} of them are new" in capsys.readouterr().out


def test_a_plane_that_does_not_exist_is_refused_before_anything_is_sent(job):
    with pytest.raises(ValueError, match=r"\(4,\)"):
        next(embed(None, job, [(4,)]))


@pytest.mark.parametrize("wrong", [{}, {"workers": 2, "scheduler": "tcp://there:8786"}])
def test_a_cluster_is_either_started_or_connected_to(wrong):
    with pytest.raises(ValueError, match="either a scheduler or a number of workers"), connect(**wrong):
        pass


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(job):
    """Processes, and nano: what a user runs."""
    with connect(workers=2) as client:
        running = embed(client, job)
        done = [next(running)]
        os.kill(client.run(os.getpid).popitem()[1], signal.SIGKILL)
        done += running
    assert sorted(each.plane for each in done) == PLANES
    assert list(Segmenter(job.open_stack().array, cache=job.cache).embed()) == []


def test_no_worker_at_all_is_refused_instead_of_waited_for():
    """`--workers 0` hung until it was killed."""
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"), connect(workers=0):
        pytest.fail("there is nobody to connect to")
