#!/bin/sh
# Makes tests/reference/https/: a key and a certificate for 127.0.0.1 that signs itself, of the test server and of nothing else.
# Run from the project's root, with OpenSSL 3.
set -eu
cd tests/reference/https
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -keyout key.pem -out certificate.pem \
    -subj "/CN=thawline tests" -addext "subjectAltName=IP:127.0.0.1" -addext "basicConstraints=critical,CA:FALSE"
