#!/usr/bin/env python3
"""Checks `terraform/` without a registry and without a project of Google Cloud.

    check.py                 the two that follow
    check.py test            format, validity, and the module's own tests
    check.py again           an apply, and a second plan, which must be empty
    check.py plan [VARS...]  prints what a new deployment would be made of, as JSON
    check.py show [VARS...]  prints what was made, as JSON: also what only Google chooses is known
    check.py scan            holds the plan of everything.tfvars against the rules of checkov

VARS are files of variables; `example.tfvars`, if none is named. It needs Terraform (TEST_TERRAFORM, or on the path)
and the packages of requirements.txt beside it in the Python that runs it.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULE = HERE.parent.parent / "terraform"
TERRAFORM = os.environ.get("TEST_TERRAFORM") or "terraform"
VERSION = "8.7.0"
# Without what would change Terraform's behaviour.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("TF_")},
    "CHECKPOINT_DISABLE": "1",
    "TF_IN_AUTOMATION": "1",
}


def terraform(folder, *arguments, env, accept=(0,)):
    """Runs Terraform in a folder. Its answer is shown if it fails."""
    ended = subprocess.run(
        [TERRAFORM, f"-chdir={folder}", *arguments],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    if ended.returncode not in accept:
        sys.exit(f"{ended.stdout}\nerror: terraform {' '.join(map(str, arguments))}: code {ended.returncode}")
    return ended


def platform():
    """This machine as Terraform names it in the folders of plugins."""
    answer = subprocess.run(
        [TERRAFORM, "version", "-json"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(answer.stdout)["platform"]


@contextmanager
def ready():
    """A copy of the module in which Terraform finds the stand-in in place of Google's provider."""
    with tempfile.TemporaryDirectory(prefix="sluice-terraform.") as scratch:
        scratch = Path(scratch)
        plugins = scratch / "plugins/registry.terraform.io/hashicorp/google" / VERSION / platform()
        plugins.mkdir(parents=True)
        program = plugins / f"terraform-provider-google_v{VERSION}"
        # Terraform starts it with an environment of its own choice, so this Python is named.
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{HERE / 'provider.py'}' \"$@\"\n", encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        settings = scratch / "terraform.rc"
        settings.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{scratch / "plugins"}"\n  }}\n}}\n',
            encoding="utf-8",
        )
        module = scratch / "terraform"
        left = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "*.auto.tfvars*")
        shutil.copytree(MODULE, module, ignore=left)
        shutil.copytree(HERE / "jobs", scratch / "jobs")
        env = {
            **ENVIRONMENT,
            "STAND_IN_SCHEMA": str(HERE / "google-8.7.0.json"),
            "TF_CLI_CONFIG_FILE": str(settings),
        }
        terraform(module, "init", "-backend=false", "-input=false", "-no-color", env=env)
        yield module, env


def variables(files):
    return [f"-var-file={Path(file).resolve()}" for file in files or [HERE / "example.tfvars"]]


def made(module, env, files):
    terraform(module, "apply", "-auto-approve", "-input=false", "-no-color", *variables(files), env=env)


def block_names(file, kind):
    """The names of the blocks of a kind, and the text of each."""
    text = (MODULE / file).read_text(encoding="utf-8")
    return [(part.split('"')[0], part) for part in f"\n{text}".split(f'\n{kind} "')[1:]]


def check_form():
    """What `fmt` does not check."""
    for file, kind, needed in [
        ("variables.tf", "variable", ["description", "type", "validation", "error_message"]),
        ("outputs.tf", "output", ["description", "value"]),
    ]:
        blocks = block_names(file, kind)
        names = [name for name, _ in blocks]
        if len(names) < 5 or names != sorted(names):
            sys.exit(f"error: {file}: not in alphabetical order: {names}")
        for name, text in blocks:
            for word in needed:
                if f"  {word} " not in text:
                    sys.exit(f"error: {file}: `{name}` has no `{word}`")


def test():
    check_form()
    form = [TERRAFORM, "fmt", "-check", "-diff", "-recursive", str(MODULE), str(HERE)]
    if subprocess.run(form, env=ENVIRONMENT, check=False).returncode:
        sys.exit("error: write it again: terraform fmt -recursive terraform tests/terraform")
    with ready() as (module, env):
        print(terraform(module, "validate", "-no-color", env=env).stdout)
        print(terraform(module, "test", "-no-color", env=env).stdout)


def again():
    with ready() as (module, env):
        for files in ([HERE / "example.tfvars"], [HERE / "everything.tfvars"]):
            (module / "terraform.tfstate").unlink(missing_ok=True)
            made(module, env, files)
            plan = ("plan", "-detailed-exitcode", "-input=false", "-no-color", *variables(files))
            second = terraform(module, *plan, accept=(0, 2), env=env)
            if second.returncode == 2:
                sys.exit(f"{second.stdout}\nerror: the second plan of {files[0].name} is not empty")
            print(f"{files[0].name}: applied, and the second plan is empty")


def show(files):
    with ready() as (module, env):
        made(module, env, files)
        print(terraform(module, "show", "-json", env=env).stdout)


def plan(files):
    with ready() as (module, env):
        terraform(module, "plan", "-out=plan", "-input=false", "-no-color", *variables(files), env=env)
        print(terraform(module, "show", "-json", "plan", env=env).stdout)


def scan():
    with ready() as (module, env), tempfile.TemporaryDirectory(prefix="sluice-checkov.") as scratch:
        files = [HERE / "everything.tfvars"]
        terraform(module, "plan", "-out=plan", "-input=false", "-no-color", *variables(files), env=env)
        plan = Path(scratch) / "plan.json"
        plan.write_text(terraform(module, "show", "-json", "plan", env=env).stdout, encoding="utf-8")
        command = [sys.executable, "-m", "checkov.main", "--config-file", str(HERE / "checkov.yaml"), "--file", str(plan)]
        # Its descriptions of the rules come from the network, and are not needed.
        ended = subprocess.run(command, env={**ENVIRONMENT, "LOG_LEVEL": "CRITICAL"}, check=False)
        sys.exit(ended.returncode)


def main():
    match sys.argv[1:]:
        case []:
            test()
            again()
        case ["test"]:
            test()
        case ["again"]:
            again()
        case ["scan"]:
            scan()
        case ["show", *files]:
            show(files)
        case ["plan", *files]:
            plan(files)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
