"""What Dataflow is given: the template, the image, the job."""

import json
import pathlib
import re
import tomllib

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    WorkerOptions,
)
from sluice_dataflow import pipeline
from sluice_dataflow.failure import Failure

from test_order import ORDER

ROOT = pathlib.Path(__file__).parents[1]


def test_image_and_package_have_one_version_of_beam():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [pinned] = [need for need in project["dependencies"] if need.startswith("apache-beam")]
    assert pinned == f"apache-beam[gcp]=={beam.__version__}"
    assert f"beam_python3.11_sdk:{beam.__version__} " in (ROOT / "Dockerfile").read_text()
    assert all(
        "==" in need
        for needs in [project["dependencies"], *project["optional-dependencies"].values()]
        for need in needs
    )


@pytest.mark.parametrize(
    "url, fits",
    [
        ("gs://lake/runs/a/dataflow/0/order.json", True),
        ("gs://lake", False),
        ("file:///order", False),
        ("gs:///order", False),
    ],
)
def test_the_template_takes_urls_of_orders(url, fits):
    parameters = {each["name"]: each for each in json.loads((ROOT / "metadata.json").read_text())["parameters"]}
    assert not parameters["order"]["isOptional"]
    assert all(bool(re.fullmatch(regex, url)) == fits for regex in parameters["order"]["regexes"])


class Launched(beam.Pipeline):
    """What the launcher hands to Dataflow, short of handing it over."""

    seen = None

    def __init__(self, options):
        # With these options, it would ask Cloud Storage for a bucket.
        super().__init__(options=PipelineOptions([]))
        self.given = options

    def run(self):
        Launched.seen = self
        return type("Job", (), {"job_id": lambda self: "1"})()


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Launches an order, and returns the job's options and the size of its graph."""
    monkeypatch.setattr(beam, "Pipeline", Launched)

    def launched(**changes) -> tuple[PipelineOptions, int]:
        order = tmp_path / "order.json"
        order.write_text(json.dumps(ORDER | {"output": f"file://{tmp_path}/"} | changes))
        arguments = ["--runner=DataflowRunner", "--project=shop", "--region=us-central1", f"--order=file://{order}"]
        pipeline.run(arguments)
        return Launched.seen.given, len(Launched.seen.to_runner_api().SerializeToString())

    return launched


def test_workers_have_the_image_of_the_launcher(launch, monkeypatch):
    monkeypatch.delenv(pipeline.IMAGE, raising=False)
    with pytest.raises(Failure, match="nothing says which image the workers have"):
        launch()
    monkeypatch.setenv(pipeline.IMAGE, "registry/sluice/dataflow:1")
    options, _ = launch()
    assert options.view_as(WorkerOptions).sdk_container_image == "registry/sluice/dataflow:1"
    assert options.view_as(SetupOptions).sdk_location == "container"
    assert options.view_as(DebugOptions).number_of_worker_harness_threads == 2
    assert options.view_as(GoogleCloudOptions).job_name == ORDER["job"]


@pytest.mark.parametrize("dedup", [None, ORDER["dedup"]], ids=["passing", "newest"])
def test_the_graph_does_not_grow_with_the_parts(launch, monkeypatch, dedup):
    """Dataflow takes graphs of 20 MB, and a run may have more names of parts than that."""
    monkeypatch.setenv(pipeline.IMAGE, "registry/sluice/dataflow:1")
    _, small = launch(dedup=dedup)
    _, large = launch(dedup=dedup, parts=[f"gs://lake/{at}.parquet" for at in range(20_000)])
    assert abs(large - small) < 1_000 and small < 500_000
