#!/bin/sh
# Runs in the image's first stage: collect.sh APP IMAGE copies into IMAGE all that APP needs to run, and tries it there.
set -eu
app=$1
image=$2
roots=/etc/ssl/certs/ca-certificates.crt

if [ ! -e "$roots" ]; then
    apt-get update -q
    apt-get install -y -q --no-install-recommends ca-certificates
fi

# Copies a file, behind whatever links, to the path it is asked for by.
put() {
    mkdir -p "$image$(dirname "$2")"
    cp -L "$1" "$image$2"
}

node=$(command -v node)
put "$node" /usr/bin/node
for binary in "$node" "$app"/native/node/*.node; do
    # A library that is missing has no path, and ldd says so.
    if ldd "$binary" | grep 'not found'; then
        echo "the base image lacks a library of $binary" >&2
        exit 1
    fi
    for library in $(ldd "$binary" | grep -o '/[^ ]*'); do
        [ -e "$image$library" ] || put "$library" "$library"
    done
done

put "$roots" "$roots"
mkdir -p "$image/etc/tulle"
echo 'tulle:x:65532:65532::/etc/tulle:/sbin/nologin' >"$image/etc/passwd"
echo 'tulle:x:65532:' >"$image/etc/group"
echo 'hosts: files dns' >"$image/etc/nsswitch.conf"
cp -R "$app" "$image/app"
chown -R 0:0 "$image"
chmod -R u=rwX,go=rX "$image"

chroot "$image" /usr/bin/node /app/dist/cli/main.js --version
chroot "$image" /usr/bin/node --input-type=module --eval "
    import { createRequire } from 'node:module';
    const { Engine } = createRequire('/app/dist/cli/main.js')('#addon');
    if (typeof Engine.start !== 'function') process.exit(1);
"
