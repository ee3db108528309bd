"""A member's day with a client that is not ours: enrol, publish, follow, lose the connection, resume, take back, be refused.

Run by `tests/python_client.rs`, which starts the hub. Ends with `scenario passed`, or with the first claim that fails.
"""

import argparse
import pathlib
import sys

import grpc

import client


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hub", required=True, help="host:port")
    parser.add_argument("--ca", required=True, type=pathlib.Path, help="the hub's authority, PEM")
    parser.add_argument("--proto", required=True, type=pathlib.Path, help="the folder of the protos")
    parser.add_argument("--work", required=True, type=pathlib.Path, help="a folder for the stubs")
    parser.add_argument("--publisher-token", required=True, type=pathlib.Path)
    parser.add_argument("--reader-token", required=True, type=pathlib.Path)
    parser.add_argument("--government-token", required=True, type=pathlib.Path)
    return parser.parse_args()


def expect(claim, holds, seen=""):
    print(("ok      " if holds else "FAILED  ") + claim)
    if not holds:
        sys.exit(f"does not hold: {claim}: {seen!r}")


def refused(call):
    """The error of a call that the hub must refuse."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return error
    sys.exit(f"was not refused: {answer!r}")


class Scenario:
    def __init__(self, options):
        self.hub, self.ca_pem = options.hub, options.ca.read_bytes()
        self.api = client.generate_stubs(options.proto, options.work)
        self.tokens = {
            "publisher": options.publisher_token.read_text(),
            "reader": options.reader_token.read_text(),
            "government": options.government_token.read_text(),
        }
        self.members, self.channels = {}, {}

    def run(self):
        self.invitation_opens_enrolment_only()
        for name in self.tokens:
            self.enrol(name)
        self.invitation_is_spent()
        self.batch_has_one_result_per_item()
        self.reader_resumes_without_a_gap()
        self.stream_answers_in_order()
        self.look_up_finds_the_host()
        self.reader_copy_omits_the_audience()
        self.government_lane_is_closed()
        self.retraction_reaches_the_mirror()
        self.errors_name_the_field()
        self.agent_renews_over_its_connection()
        self.strangers_get_no_answer()

    def invitation_opens_enrolment_only(self):
        with client.read_token(self.tokens["publisher"], self.ca_pem).channel(self.hub) as channel:
            stub = self.api.query_grpc.QueryServiceStub(channel)
            error = refused(lambda: stub.GetStatus(self.api.query.GetStatusRequest(), timeout=10))
        expect("an invitation opens nothing but enrolment", error.code() == grpc.StatusCode.PERMISSION_DENIED, error)

    def enrol(self, name):
        key_and_csr = client.new_key_and_csr()
        enrol = lambda: client.enrol(self.api, self.hub, self.tokens[name], self.ca_pem, key_and_csr)
        credentials, answer = enrol()
        again, _ = enrol()
        expect(f"{name}: enrolling again with the same key gives the same certificate",
               again.certificate_pem == credentials.certificate_pem)
        self.members[name] = answer.member
        self.channels[name] = credentials.channel(self.hub)
        status = self.query(name).GetStatus(self.api.query.GetStatusRequest(), timeout=10)
        expect(f"{name}: the new certificate is accepted", status.writable, status)

    def invitation_is_spent(self):
        error = refused(lambda: client.enrol(self.api, self.hub, self.tokens["publisher"], self.ca_pem))
        expect("another key cannot use the same invitation", error.code() == grpc.StatusCode.PERMISSION_DENIED, error)

    def draft(self, raw, tlp="TLP_GREEN", **fields):
        members = fields.pop("member_ids", [])
        handling = self.api.indicator.Handling(tlp=self.api.indicator.Tlp.Value(tlp), member_ids=members)
        return self.api.indicator.IndicatorDraft(raw=raw, handling=handling, campaign="Borrowed Mastheads", **fields)

    def publish(self, drafts, prefix):
        items = [self.api.publish.PublishItem(request_id=f"{prefix}-{at}", draft=draft) for at, draft in enumerate(drafts)]
        stub = self.api.publish_grpc.PublishServiceStub(self.channels["publisher"])
        return stub.Publish(self.api.publish.PublishRequest(items=items), timeout=30).results

    def query(self, name):
        return self.api.query_grpc.QueryServiceStub(self.channels[name])

    def batch_has_one_result_per_item(self):
        drafts = [
            self.draft("hxxps://masthead-one[.]example[.]org/story"),
            self.draft("masthead-two.example.org", tlp="TLP_UNSPECIFIED"),
            self.draft("masthead-three.example.org", confidence=70),
        ]
        results = self.publish(drafts, "first")
        outcomes = [result.WhichOneof("outcome") for result in results]
        expect("one bad item does not spoil its batch", outcomes == ["accepted", "rejected", "accepted"], results)
        expect("the rejection names the field", "tlp" in results[1].rejected.field and results[1].rejected.reason, results)
        again = self.publish(drafts, "first")
        same = again[0].WhichOneof("outcome") == "duplicate" and again[0].duplicate.id == results[0].accepted.id
        expect("a repeated request makes no second indicator", same or again[0] == results[0], again)
        self.first = [results[0].accepted.id, results[2].accepted.id]

    def reader_resumes_without_a_gap(self):
        mirror = client.Mirror()
        came = client.follow(self.api, self.channels["reader"], mirror, lambda mirror: mirror.live)
        expect("a new subscriber is given what there is", set(came) == set(self.first), came)
        held = mirror.cursor
        missed = [self.draft(f"missed-{at}.example.org") for at in range(250)]
        ids = [result.accepted.id for result in self.publish(missed, "missed")]
        came = client.follow(self.api, self.channels["reader"], mirror, lambda mirror: set(ids) <= set(mirror.indicators))
        expect("who was away misses nothing and gets nothing twice", sorted(came) == sorted(ids), len(came))
        expect("the cursor moved", mirror.cursor != held)
        client.follow(self.api, self.channels["reader"], mirror, lambda mirror: False, until_live=True)
        count, total = mirror.sum()
        stated = mirror.digest
        expect("the mirror has the sum that the hub states", (stated.count, stated.hash) == (count, total), stated)
        forged = client.Mirror()
        forged.cursor = bytes([held[0] ^ 1]) + held[1:]
        error = refused(lambda: client.follow(self.api, self.channels["reader"], forged, lambda mirror: mirror.live))
        expect("a changed cursor is refused", client.reason(error) == "CURSOR_REFUSED", error)
        stolen = client.Mirror()
        stolen.cursor = held
        error = refused(lambda: client.follow(self.api, self.channels["publisher"], stolen, lambda mirror: mirror.live))
        expect("another member's cursor is refused", client.reason(error) == "CURSOR_REFUSED", error)
        self.mirror = mirror

    def stream_answers_in_order(self):
        stub = self.api.publish_grpc.PublishServiceStub(self.channels["publisher"])
        item = lambda at: self.api.publish.PublishItem(request_id=f"stream-{at}", draft=self.draft(f"stream-{at}.example.org"))
        requests = (self.api.publish.PublishStreamRequest(items=[item(at), item(at + 1)]) for at in range(0, 200, 2))
        ids = [result.accepted.id for answer in stub.PublishStream(requests, timeout=30) for result in answer.results]
        query = self.query("publisher")
        first, last = (query.GetIndicator(self.api.query.GetIndicatorRequest(id=id), timeout=10).indicator
                       for id in (ids[0], ids[-1]))
        expect("a stream publishes all that it is given", len(set(ids)) == 200, len(ids))
        expect("and answers in order", (first.observable.value, last.observable.value)
               == ("stream-0.example.org", "stream-199.example.org"), (first.observable, last.observable))

    def look_up_finds_the_host(self):
        values = ["hxxps://STREAM-7[.]example[.]org/any/path", "never-published.example.org"]
        request = self.api.query.LookupRequest(values=values)
        found, unknown = self.query("reader").Lookup(request, timeout=10).results
        by_host = [(match.relation, match.indicator.observable.value) for match in found.matches]
        host = self.api.query.MatchRelation.Value("MATCH_RELATION_HOST")
        expect("a defanged URL finds what is known of its host", by_host == [(host, "stream-7.example.org")], found)
        expect("what nobody published is not found", not unknown.matches, unknown)

    def reader_copy_omits_the_audience(self):
        named = [self.members["reader"].id, self.members["government"].id]
        result = self.publish([self.draft("named-readers.example.org", tlp="TLP_AMBER", member_ids=named)], "named")[0]
        self.amber = result.accepted.id
        get = lambda name: self.query(name).GetIndicator(
            self.api.query.GetIndicatorRequest(id=self.amber), timeout=10).indicator
        expect("the owner sees the audience", sorted(get("publisher").handling.member_ids) == sorted(named))
        expect("a reader does not", list(get("reader").handling.member_ids) == [])

    def government_lane_is_closed(self):
        get = lambda id: self.query("government").GetIndicator(self.api.query.GetIndicatorRequest(id=id), timeout=10)
        hidden = refused(lambda: get(self.amber))
        absent = refused(lambda: get("01900000-0000-7000-8000-000000000000"))
        expect("a government does not see what was not released to it", hidden.code() == grpc.StatusCode.NOT_FOUND, hidden)
        alike = (hidden.code(), hidden.details()) == (absent.code(), absent.details())
        expect("what is hidden looks like what does not exist", alike, (hidden.details(), absent.details()))

    def retraction_reaches_the_mirror(self):
        stub = self.api.publish_grpc.PublishServiceStub(self.channels["publisher"])
        gone = self.first[0]
        stub.Retract(self.api.publish.RetractRequest(ids=[gone], reason="wrong site"), timeout=10)
        client.follow(self.api, self.channels["reader"], self.mirror, lambda mirror: gone in mirror.removals)
        retracted = self.api.feed.RemovalReason.Value("REMOVAL_REASON_RETRACTED")
        expect("a retraction takes it from the mirror", gone not in self.mirror.indicators)
        expect("with its reason", self.mirror.removals[gone] == retracted, self.mirror.removals)

    def errors_name_the_field(self):
        calls = {
            "items": lambda: self.publish([], "empty"),
            "values": lambda: self.query("reader").Lookup(self.api.query.LookupRequest(values=[]), timeout=10),
        }
        for field, call in calls.items():
            error = refused(call)
            found = client.violations(error)
            expect(f"an empty list is an INVALID_ARGUMENT: {error.details()}",
                   error.code() == grpc.StatusCode.INVALID_ARGUMENT)
            expect(f"and its details name `{field}`", any(path.startswith(field) and why for path, why in found), found)
        error = refused(lambda: self.publish_as_reader())
        expect(f"a subscriber cannot publish: {error.details()}", error.code() == grpc.StatusCode.PERMISSION_DENIED)

    def publish_as_reader(self):
        stub = self.api.publish_grpc.PublishServiceStub(self.channels["reader"])
        item = self.api.publish.PublishItem(draft=self.draft("not-mine.example.org"))
        return stub.Publish(self.api.publish.PublishRequest(items=[item]), timeout=10)

    def agent_renews_over_its_connection(self):
        key_pem, csr_pem = client.new_key_and_csr()
        stub = self.api.membership_grpc.MembershipServiceStub(self.channels["reader"])
        answer = stub.RenewCertificate(self.api.membership.RenewCertificateRequest(csr_pem=csr_pem), timeout=10)
        renewed = client.Credentials(answer.certificate_chain_pem.encode(), key_pem, self.ca_pem)
        with renewed.channel(self.hub) as channel:
            self.channels["reader"] = channel
            mirror = client.Mirror()
            mirror.cursor = self.mirror.cursor
            client.follow(self.api, channel, mirror, lambda mirror: mirror.live)
            expect("a renewed certificate goes on with the old cursor", mirror.live)

    def strangers_get_no_answer(self):
        tls = grpc.ssl_channel_credentials(root_certificates=self.ca_pem)
        with grpc.secure_channel(self.hub, tls) as channel:
            stub = self.api.query_grpc.QueryServiceStub(channel)
            error = refused(lambda: stub.GetStatus(self.api.query.GetStatusRequest(), timeout=5))
        unanswered = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        expect("without a certificate there is no connection", error.code() in unanswered, error)


if __name__ == "__main__":
    Scenario(arguments()).run()
    print("scenario passed")
