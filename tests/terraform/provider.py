"""A stand-in for Google's Terraform provider, which no registry within reach has.

It knows the real provider's schema (google-8.7.0.json), so Terraform refuses arguments that do not exist, are
missing, or are of the wrong type or not one of the known values. It calls nothing: `apply` keeps what was planned,
and fills in what Google would have chosen.

Terraform starts it as a plugin. STAND_IN_SCHEMA is the path of the schema.
"""

import json
import os
import sys

import msgpack
import tf.provider
import tf.runner
from tf.gen import tfplugin_pb2 as wire
from tf.gen import tfplugin_pb2_grpc as service

NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
UNKNOWN = msgpack.ExtType(0, b"\0")
PROJECT_NUMBER = "123456789012"

with open(os.environ["STAND_IN_SCHEMA"], encoding="utf-8") as schema_file:
    SCHEMA = json.load(schema_file)

# The ids of resources that other resources refer to.
IDS = {
    "google_cloud_run_v2_job": "projects/{project}/locations/{location}/jobs/{name}",
    "google_cloud_run_v2_service": "projects/{project}/locations/{location}/services/{name}",
    "google_cloud_tasks_queue": "projects/{project}/locations/{location}/queues/{name}",
    "google_monitoring_notification_channel": "projects/{project}/notificationChannels/1",
    "google_project_iam_custom_role": "projects/{project}/roles/{role_id}",
    "google_pubsub_subscription": "projects/{project}/subscriptions/{name}",
    "google_pubsub_topic": "projects/{project}/topics/{name}",
    "google_service_account": "projects/{project}/serviceAccounts/{account_id}@{project}.iam.gserviceaccount.com",
}


def read(value):
    """The value of a message; `None` for that of a resource that does not exist."""
    if value.json:
        return json.loads(value.json)
    if not value.msgpack:
        return None
    return msgpack.unpackb(value.msgpack, raw=False, strict_map_key=False, ext_hook=msgpack.ExtType)


def written(value):
    return wire.DynamicValue(msgpack=msgpack.packb(value))


def block(described):
    """A block of the schema as Terraform's protocol says it."""
    attributes = [
        wire.Schema.Attribute(
            name=name,
            type=json.dumps(attribute["type"]).encode(),
            required=attribute["required"],
            optional=attribute["optional"],
            computed=attribute["computed"],
        )
        for name, attribute in sorted(described["attrs"].items())
    ]
    nested = [
        wire.Schema.NestedBlock(
            type_name=name,
            nesting=NESTING[inner["nesting"]],
            min_items=inner["min"],
            max_items=inner["max"],
            block=block(inner["block"]),
        )
        for name, inner in sorted(described["blocks"].items())
    ]
    return wire.Schema.Block(attributes=attributes, block_types=nested)


def walk(described, value, visit, path=""):
    """Calls `visit` with every block of a value, its schema and its path."""
    if not isinstance(value, dict):
        return
    visit(described, value, path)
    for name, inner in described["blocks"].items():
        found = value.get(name)
        for one in found if isinstance(found, list) else [found]:
            walk(inner["block"], one, visit, f"{path}{name}.")


def wrong_words(kind, value):
    """What of a resource is not one of the values that the provider's documentation lists."""
    found = []

    def visit(described, one, path):
        for name, attribute in described["attrs"].items():
            known, given = attribute.get("enum"), one.get(name)
            if known and isinstance(given, str) and given not in known:
                summary = f"Invalid value for {path}{name}"
                detail = f"`{given}` is not one of {', '.join(known)}"
                found.append(wire.Diagnostic(severity=1, summary=summary, detail=detail))

    walk(SCHEMA["resources"][kind], value, visit)
    return found


def chosen(kind, name, resource):
    """What Google chooses for an attribute of a new resource."""
    known = {key: value for key, value in resource.items() if isinstance(value, str)}
    email = "{account_id}@{project}.iam.gserviceaccount.com"
    if kind == "google_service_account" and name in ("email", "member"):
        return ("serviceAccount:" if name == "member" else "") + email.format(**known)
    if kind == "google_logging_project_sink" and name == "writer_identity":
        return f"serviceAccount:service-{PROJECT_NUMBER}@gcp-sa-logging.iam.gserviceaccount.com"
    if kind == "google_cloud_run_v2_service" and name == "urls":
        return [
            "https://{name}-{number}.{location}.run.app".format(number=PROJECT_NUMBER, **known),
            "https://{name}-abc123-ey.a.run.app".format(**known),
        ]
    if name == "id" and kind in IDS or name == "name" and kind == "google_service_account":
        return IDS[kind].format(**known)
    return None


def usual(of_type):
    """A value of an attribute's type for what the stand-in has no opinion on."""
    if of_type == "string":
        return "chosen-by-google"
    if of_type == "bool":
        return False
    if of_type == "number":
        return 0
    return {} if of_type[0] == "map" else []


class Servicer(service.ProviderServicer):
    """What Terraform asks of a provider."""

    project = None
    region = None

    def __init__(self, _provider):
        pass

    def GetProviderSchema(self, _request, _context):
        def all_of(kinds):
            return {kind: wire.Schema(version=0, block=block(described)) for kind, described in kinds.items()}

        return wire.GetProviderSchema.Response(
            provider=wire.Schema(version=0, block=block(SCHEMA["provider"])),
            resource_schemas=all_of(SCHEMA["resources"]),
            data_source_schemas=all_of(SCHEMA["data"]),
        )

    def GetMetadata(self, _request, _context):
        kind = wire.GetMetadata
        return kind.Response(
            resources=[kind.ResourceMetadata(type_name=name) for name in SCHEMA["resources"]],
            data_sources=[kind.DataSourceMetadata(type_name=name) for name in SCHEMA["data"]],
        )

    def GetFunctions(self, _request, _context):
        return wire.GetFunctions.Response()

    def ValidateProviderConfig(self, _request, _context):
        return wire.ValidateProviderConfig.Response()

    def ConfigureProvider(self, request, _context):
        config = read(request.config)
        Servicer.project, Servicer.region = config.get("project"), config.get("region")
        return wire.ConfigureProvider.Response()

    def ValidateResourceConfig(self, request, _context):
        found = wrong_words(request.type_name, read(request.config))
        return wire.ValidateResourceConfig.Response(diagnostics=found)

    def ValidateDataResourceConfig(self, _request, _context):
        return wire.ValidateDataResourceConfig.Response()

    def UpgradeResourceState(self, request, _context):
        return wire.UpgradeResourceState.Response(upgraded_state=wire.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request, _context):
        return wire.ReadResource.Response(new_state=request.current_state)

    def ReadDataSource(self, request, _context):
        value = read(request.config)
        for name, attribute in SCHEMA["data"][request.type_name]["attrs"].items():
            if value.get(name) is None:
                value[name] = PROJECT_NUMBER if name == "number" else usual(attribute["type"])
        return wire.ReadDataSource.Response(state=written(value))

    def PlanResourceChange(self, request, _context):
        planned = read(request.proposed_new_state)
        if planned is None or read(request.prior_state) is not None:
            return wire.PlanResourceChange.Response(
                planned_state=request.proposed_new_state, legacy_type_system=True
            )
        described = SCHEMA["resources"][request.type_name]
        for name, default in (("project", self.project), ("region", self.region)):
            if name in described["attrs"] and planned.get(name) is None:
                planned[name] = default

        def visit(inner, value, _path):
            for name, attribute in inner["attrs"].items():
                if attribute["computed"] and value.get(name) is None:
                    value[name] = UNKNOWN

        walk(described, planned, visit)
        return wire.PlanResourceChange.Response(planned_state=written(planned), legacy_type_system=True)

    def ApplyResourceChange(self, request, _context):
        made = read(request.planned_state)
        kind = request.type_name

        def visit(inner, value, path):
            for name, attribute in inner["attrs"].items():
                if value.get(name) == UNKNOWN:
                    answer = None if path else chosen(kind, name, made)
                    value[name] = usual(attribute["type"]) if answer is None else answer

        walk(SCHEMA["resources"][kind], made, visit)
        return wire.ApplyResourceChange.Response(new_state=written(made), legacy_type_system=True)

    def StopProvider(self, _request, _context):
        return wire.StopProvider.Response()


class Google:
    def full_name(self):
        return "registry.terraform.io/hashicorp/google"


tf.provider.ProviderServicer = Servicer
tf.runner.run_provider(Google(), sys.argv)
