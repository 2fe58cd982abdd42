#!/bin/sh
# Installs the plugin with krew from an address on this machine, as somebody does from that of a release, and starts it.
#
#   make plugin URL=https://127.0.0.1:8443 && deploy/krew/try.sh target/plugin 8443
#
# The manifest in the folder has to name that address. krew downloads the archive for this platform, compares its sum, and installs
# it into a folder that is removed again. The certificate is made here, and nobody else trusts it.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
fail() {
	printf 'plugin: %s\n' "$*" >&2
	exit 1
}

[ $# -eq 2 ] || fail "say the folder and the port, as in: deploy/krew/try.sh target/plugin 8443"
folder=$1 port=$2
for tool in openssl python3 curl; do
	command -v "$tool" >/dev/null || fail "$tool is missing: install it"
done
grep -q "uri: \"https://127.0.0.1:$port/" "$folder/whatsapp.yaml" ||
	fail "$folder/whatsapp.yaml does not name https://127.0.0.1:$port: run make plugin URL=https://127.0.0.1:$port"
tools=$("$here/tests/control-plane/build.sh" kubectl kubectl-krew)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
	-keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
cat >"$work/serve.py" <<'EOF'
import functools, http.server, ssl, sys

folder, port, work = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{work}/cert.pem", f"{work}/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
EOF
python3 "$work/serve.py" "$folder" "$port" "$work" 2>/dev/null &
server=$!
curl --silent --fail --retry 20 --retry-delay 1 --retry-connrefused --cacert "$work/cert.pem" -o /dev/null \
	"https://127.0.0.1:$port/SHA256SUMS" || fail "nothing is served at https://127.0.0.1:$port; is the port in use?"
PATH=$tools:$work/krew/bin:$PATH
KREW_ROOT=$work/krew KREW_NO_UPGRADE_CHECK=1 SSL_CERT_FILE=$work/cert.pem kubectl krew install --manifest="$folder/whatsapp.yaml"
cd "$here"
kubectl whatsapp --help
kubectl whatsapp lint -f examples
