"""A client of a Clearinghouse hub in Python, made from the protos alone: enrol, publish, follow a feed, read errors.

It owns what every client has to do and nothing of the tests that use it. It shares no code with the hub, so that what it
can do, any language with gRPC can do. `docs/clients.md` walks through it.
"""

import base64
import hashlib
import importlib
import pathlib
import re
import sys

import grpc
import grpc_tools
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

TOKEN_PREFIX = "chi1."

# A page of 1,000 long indicators passes the 4 MiB that gRPC accepts by default; without keep-alive a channel never
# notices that the network between went away.
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


def generate_stubs(proto_dir, out_dir):
    """Compiles the wire API into `out_dir` and makes it importable as `clearinghouse.v1`."""
    protos = sorted(pathlib.Path(proto_dir).glob("clearinghouse/v1/*.proto"))
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{proto_dir}", f"-I{well_known}", f"--python_out={out_dir}", f"--grpc_python_out={out_dir}"]
    if protoc.main(arguments + [str(path) for path in protos]) != 0:
        raise RuntimeError("protoc refused the protos")
    sys.path.insert(0, str(out_dir))
    return Api()


class Api:
    """The generated modules: messages as `api.indicator.Tlp`, stubs as `api.publish_grpc.PublishServiceStub`."""

    def __init__(self):
        load = lambda name: importlib.import_module(f"clearinghouse.v1.{name}")
        self.indicator = load("indicator_pb2")
        self.member = load("member_pb2")
        self.observable = load("observable_pb2")
        self.publish, self.publish_grpc = load("publish_service_pb2"), load("publish_service_pb2_grpc")
        self.feed, self.feed_grpc = load("feed_service_pb2"), load("feed_service_pb2_grpc")
        self.query, self.query_grpc = load("query_service_pb2"), load("query_service_pb2_grpc")
        self.membership, self.membership_grpc = load("membership_service_pb2"), load("membership_service_pb2_grpc")


class Credentials:
    """What a connection is made with, each in PEM."""

    def __init__(self, certificate_pem, key_pem, ca_pem):
        self.certificate_pem, self.key_pem, self.ca_pem = certificate_pem, key_pem, ca_pem

    def channel(self, address):
        """A channel over mutual TLS to `host:port`."""
        tls = grpc.ssl_channel_credentials(
            root_certificates=self.ca_pem, private_key=self.key_pem, certificate_chain=self.certificate_pem
        )
        return grpc.secure_channel(address, tls, options=CHANNEL_OPTIONS)


def read_token(token, ca_pem):
    """The credentials in an invitation's token: they open EnrolmentService and nothing else."""
    if not token.startswith(TOKEN_PREFIX):
        raise ValueError("not an invitation of this version")
    body = token[len(TOKEN_PREFIX):].strip()
    pem = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    parts = re.split(rb"(?<=-----\n)(?=-----BEGIN )", pem)
    certificate = b"".join(part for part in parts if part.startswith(b"-----BEGIN CERTIFICATE"))
    key = b"".join(part for part in parts if not part.startswith(b"-----BEGIN CERTIFICATE"))
    if not certificate or not key:
        raise ValueError("the token holds no certificate and key")
    return Credentials(certificate, key, ca_pem)


def new_key_and_csr():
    """A fresh key, which never leaves this machine, and the request for its certificate, both in PEM.

    The hub takes only the public key from the request: names and usages in it are ignored.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, csr.public_bytes(serialization.Encoding.PEM).decode()


def enrol(api, address, token, ca_pem, key_and_csr=None):
    """Turns an invitation into an agent's credentials. Gives them, and the hub's answer.

    Asking again with the same key gets the same certificate, so a lost answer loses nothing: keep the key until it is in.
    """
    key_pem, csr_pem = key_and_csr or new_key_and_csr()
    with read_token(token, ca_pem).channel(address) as channel:
        stub = api.membership_grpc.EnrolmentServiceStub(channel)
        answer = stub.Enroll(api.membership.EnrollRequest(csr_pem=csr_pem), timeout=30)
    credentials = Credentials(answer.certificate_chain_pem.encode(), key_pem, answer.ca_pem.encode())
    return credentials, answer


class Mirror:
    """What a subscriber holds: the indicators of one feed, and the cursor that belongs to them.

    Delivery is at least once, so that applying a response twice must change nothing: it puts and drops by id.
    """

    def __init__(self):
        self.indicators, self.removals, self.cursor, self.live, self.digest = {}, {}, b"", False, None

    def apply(self, response):
        for indicator in response.upserts:
            self.indicators[indicator.id] = indicator
        for removal in response.removals:
            self.indicators.pop(removal.id, None)
            self.removals[removal.id] = removal.reason
        # Keep the cursor only together with what came before it: stored alone, a crash would lose changes.
        if response.cursor:
            self.cursor = response.cursor
        self.live = self.live or response.live
        if response.HasField("digest"):
            self.digest = response.digest

    def sum(self):
        """The digest that the hub must state for this mirror: count, and the hash of ids and revisions."""
        total = 0
        for indicator in self.indicators.values():
            text = indicator.id.encode() + indicator.revision.to_bytes(4, "big")
            total += int.from_bytes(hashlib.sha256(text).digest()[:16], "little")
        return len(self.indicators), (total % (1 << 128)).to_bytes(16, "little")


def follow(api, channel, mirror, until, feed_filter=None, until_live=False, timeout=30):
    """Follows the feed from the mirror's cursor until `until(mirror)` holds, then hangs up. Gives the ids that came."""
    request = api.feed.SubscribeRequest(cursor=mirror.cursor, filter=feed_filter, until_live=until_live)
    stream = api.feed_grpc.FeedServiceStub(channel).Subscribe(request, timeout=timeout)
    came = []
    for response in stream:
        mirror.apply(response)
        came += [indicator.id for indicator in response.upserts]
        if until(mirror):
            break
    stream.cancel()
    return came


def details(error, kind):
    """The details of one kind that the hub attached to an error: BadRequest, ErrorInfo, RetryInfo …"""
    status = rpc_status.from_call(error)
    found = []
    for detail in status.details if status else []:
        if detail.Is(kind.DESCRIPTOR):
            found.append(kind.FromString(detail.value))
    return found


def violations(error):
    """The fields that the hub objects to: pairs of path and reason."""
    bad_requests = details(error, error_details_pb2.BadRequest)
    return [(field.field, field.description) for bad_request in bad_requests for field in bad_request.field_violations]


def reason(error):
    """The stable word for programs, such as "CURSOR_REFUSED"; empty where the error is not the hub's own."""
    return next((info.reason for info in details(error, error_details_pb2.ErrorInfo)), "")
