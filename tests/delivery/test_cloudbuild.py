"""Is `cloudbuild.yaml` what Cloud Build takes? Google's own types read it, and its scripts are checked and run."""

import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse
from pathlib import Path

import yaml
from google.cloud.devtools import cloudbuild_v1

ROOT = Path(__file__).parents[2]
# What Cloud Build itself sets for a build without a trigger.
# https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values
BUILT_IN = {"PROJECT_ID": "shop", "BUILD_ID": "b-1", "PROJECT_NUMBER": "7", "LOCATION": "global"}
SUBSTITUTION = re.compile(r"\$\{?([A-Z_][A-Z0-9_]*)\}?")


def texts(value):
    """Every text of a document, except scripts: in these, Cloud Build replaces nothing."""
    if isinstance(value, dict):
        value = [one for key, one in value.items() if key != "script"]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


def run(command, **more):
    """What a command says. Fails with it if the command fails."""
    ended = subprocess.run(command, capture_output=True, text=True, **more)
    if ended.returncode != 0:
        raise AssertionError(f"{command[0]}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


class CloudBuild(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.file = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
        cls.steps = {step["id"]: step for step in cls.file["steps"]}
        cls.values = {**BUILT_IN, **cls.file["substitutions"]}

    def environment(self, step):
        """The variables of a step, with everything replaced."""

        def fill(text):
            return SUBSTITUTION.sub(lambda found: fill(self.values[found[1]]), text)

        return dict(fill(variable).split("=", 1) for variable in self.steps[step].get("env", []))

    def test_googles_types_take_it(self):
        build = cloudbuild_v1.Build.from_json(json.dumps(self.file), ignore_unknown_fields=False)
        steps = ["test", "image", "pipeline", "template", "settings", "plan", "apply"]
        self.assertEqual([step.id for step in build.steps], steps)
        self.assertEqual(build.options.logging, cloudbuild_v1.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY)
        with self.assertRaisesRegex(Exception, "no field named"):
            cloudbuild_v1.Build.from_json(json.dumps({**self.file, "step": []}), ignore_unknown_fields=False)

    def test_every_substitution_is_defined_and_used(self):
        used = {name for text in texts(self.file) for name in SUBSTITUTION.findall(text)}
        self.assertEqual(used - set(BUILT_IN), set(self.file["substitutions"]))
        self.assertTrue(all(name.startswith("_") for name in self.file["substitutions"]))

    def test_the_build_runs_as_an_account_of_its_own(self):
        self.assertIn("${_DEPLOYER}", self.file["serviceAccount"])

    def test_nothing_is_planned_before_all_is_done_and_nothing_applied_before_it_is_planned(self):
        self.assertEqual(set(self.steps["plan"]["waitFor"]), {"test", "image", "template", "settings"})
        self.assertEqual(self.steps["template"]["waitFor"], ["pipeline"])
        self.assertEqual(self.steps["apply"]["waitFor"], ["plan"])

    def test_every_script_is_valid(self):
        shellcheck = Path(sys.executable).parent / "shellcheck"
        for name, step in self.steps.items():
            with self.subTest(name), tempfile.NamedTemporaryFile("w") as file:
                file.write(step["script"])
                file.flush()
                first = step["script"].splitlines()[0]
                run(["bash" if "bash" in first else "sh", "-n", file.name])
                run([shellcheck, file.name])
                # A failing command ends the step.
                self.assertRegex(step["script"].splitlines()[1], r"^set -eu")

    def test_every_variable_of_a_script_is_set(self):
        for name, step in self.steps.items():
            own = set(re.findall(r"^\s*(\w+)=", step["script"], re.MULTILINE))
            used = set(re.findall(r"\$\{?(\w+)", step["script"])) - own
            self.assertEqual(used, set(self.environment(name)), name)

    def in_step(self, step, programs, replaced=("", ""), **environment):
        """Runs a step's script, with `programs` in place of those of its image."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in programs.items():
                Path(folder, name).write_text(f"#!/bin/sh\n{text}\n")
                Path(folder, name).chmod(0o755)
            file = Path(folder, "script")
            file.write_text(self.steps[step]["script"].replace(*replaced) if replaced[0] else self.steps[step]["script"])
            file.chmod(0o755)
            variables = {"PATH": f"{folder}:/usr/bin:/bin", **self.environment(step), **environment}
            return run([file], env=variables, cwd=folder)

    def test_what_is_deployed_is_named_by_its_digest(self):
        with tempfile.TemporaryDirectory() as workspace:
            written = Path(workspace, "image.json")
            docker = f"""case "$*" in *--push*) printf '%s' '{METADATA}' >{written};; esac"""
            said = self.in_step("image", {"docker": docker}, ("/workspace", workspace))
            self.assertEqual(said, f"europe-west1-docker.pkg.dev/shop/sluice/sluice@sha256:{'ab' * 32}")
            self.assertEqual(Path(workspace, "image").read_text(), said)
            with self.assertRaises(AssertionError):
                self.in_step("image", {"docker": f"echo '{{}}' >{written}"}, ("/workspace", workspace))

    def test_the_plan_has_the_image_and_the_state(self):
        with tempfile.TemporaryDirectory() as workspace:
            Path(workspace, "image").write_text("repository/sluice@sha256:ab")
            said = self.in_step("plan", {"terraform": 'echo "$@"; cat backend.tf'}, ("/workspace", workspace))
        self.assertIn("-backend-config=bucket=shop-terraform -backend-config=prefix=sluice", said)
        self.assertIn("-var=image=repository/sluice@sha256:ab", said)
        self.assertIn('backend "gcs" {}', said)
        self.assertNotIn("dataflow", said)

    def test_the_pipeline_is_built_only_if_it_is_asked_for(self):
        self.assertEqual(self.environment("pipeline")["DATAFLOW"], "false")
        for value in ["false", ""]:
            for step, program in [("pipeline", "docker"), ("template", "gcloud")]:
                with tempfile.TemporaryDirectory() as workspace:
                    said = self.in_step(step, {program: "echo called"}, ("/workspace", workspace), DATAFLOW=value)
                    self.assertNotIn("called", said)
                    self.assertEqual(list(Path(workspace).iterdir()), [])

    def test_the_image_of_the_pipeline_knows_its_own_name(self):
        said = self.in_step("pipeline", {"docker": 'echo "$@"'}, DATAFLOW="true")
        created, built = said.splitlines()
        name = "europe-west1-docker.pkg.dev/shop/sluice/dataflow:b-1"
        self.assertIn("--name pipeline", created)
        self.assertTrue(built.startswith("buildx build dataflow --builder pipeline "), built)
        self.assertIn(f"--build-arg IMAGE={name} --tag {name} ", built)
        self.assertTrue(built.endswith(" --push"), built)
        # What the Dockerfile makes of it.
        dockerfile = (ROOT / "dataflow/Dockerfile").read_text()
        self.assertIn('\nARG IMAGE=""\nENV SLUICE_DATAFLOW_IMAGE=$IMAGE\n', dockerfile)

    def test_the_plan_has_the_template_that_was_written(self):
        with tempfile.TemporaryDirectory() as workspace:
            image = "europe-west1-docker.pkg.dev/shop/sluice/dataflow:b-1"
            template = "gs://shop-terraform/sluice/dataflow/b-1.json"
            said = self.in_step("template", {"gcloud": 'echo "$@"'}, ("/workspace", workspace), DATAFLOW="true")
            self.assertIn(f"dataflow flex-template build {template} --image {image} --sdk-language PYTHON", said)
            Path(workspace, "image").write_text("repository/sluice@sha256:ab")
            said = self.in_step("plan", {"terraform": 'echo "$@"'}, ("/workspace", workspace))
            self.assertIn(f"-var=image=repository/sluice@sha256:ab -var=dataflow_template={template} -out=", said)
            # Without a template there is nothing to plan with.
            with self.assertRaises(AssertionError):
                self.in_step("template", {"gcloud": "exit 1"}, ("/workspace", workspace), DATAFLOW="true")

    def test_gcloud_takes_the_template(self):
        gcloud = os.environ.get("TEST_GCLOUD")
        if not gcloud:
            self.skipTest("gcloud (TEST_GCLOUD)")
        with tempfile.TemporaryDirectory() as folder, Storage() as storage:
            Path(folder, "dataflow").symlink_to(ROOT / "dataflow")
            script = self.steps["template"]["script"].replace("/workspace", folder)
            program = Path(folder, "script")
            program.write_text(script)
            program.chmod(0o755)
            run(
                [program],
                cwd=folder,
                env={
                    **self.environment("template"),
                    "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{storage.url}/storage/v1/",
                    "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
                    "CLOUDSDK_CONFIG": folder,
                    "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
                    "DATAFLOW": "true",
                    "NO_PROXY": "*",
                    "PATH": f"{Path(gcloud).parent}:/usr/bin:/bin",
                },
            )
            self.assertEqual(list(storage.files), ["shop-terraform/sluice/dataflow/b-1.json"])
            (written,) = storage.files.values()
        self.assertEqual(written["image"], "europe-west1-docker.pkg.dev/shop/sluice/dataflow:b-1")
        self.assertEqual(written["sdkInfo"], {"language": "PYTHON"})
        metadata = json.loads((ROOT / "dataflow/metadata.json").read_text())
        self.assertEqual(
            {each["name"]: each["regexes"] for each in written["metadata"]["parameters"]},
            {each["name"]: each["regexes"] for each in metadata["parameters"]},
        )

    def test_nothing_is_applied_unless_it_is_asked_for(self):
        for value, applied in [("true", True), ("false", False), ("", False)]:
            said = self.in_step("apply", {"terraform": "echo applied"}, APPLY=value)
            self.assertEqual("applied" in said, applied, said)

    def test_no_log_shows_what_terraform_hides(self):
        for name, step in self.steps.items():
            self.assertNotRegex(step["script"], r"terraform (output|show|console)|set -x|-json|TF_LOG|cat .*tfvars", name)


class Storage:
    """Takes the files that gcloud uploads to Cloud Storage."""

    def __enter__(self):
        self.files = files = {}

        class Upload(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                url = urllib.parse.urlsplit(self.path)
                bucket = url.path.removeprefix("/upload/storage/v1/b/").removesuffix("/o")
                (name,) = urllib.parse.parse_qs(url.query)["name"]
                # gcloud quotes the boundary in a way that Python's own reader does not take.
                boundary = self.headers["Content-Type"].split("boundary=")[1].strip("'")
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                about, content = (part.split("\n\n", 1)[1] for part in body.split(f"--{boundary}")[1:3])
                files[f"{bucket}/{name}"] = json.loads(content)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps({"bucket": bucket, "name": name, **json.loads(about)}).encode())

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Upload)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


METADATA = """{
  "buildx.build.ref": "builder/builder0/abc",
  "containerimage.config.digest": "sha256:%s",
  "containerimage.descriptor": {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "sha256:%s",
    "size": 1234
  },
  "containerimage.digest": "sha256:%s",
  "image.name": "europe-west1-docker.pkg.dev/shop/sluice/sluice:b-1"
}
""" % ("cd" * 32, "ef" * 32, "ab" * 32)


if __name__ == "__main__":
    unittest.main()
