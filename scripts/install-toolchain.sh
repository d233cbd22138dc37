#!/usr/bin/env bash
# What the build needs: a C compiler and linker, git, and the Rust toolchain of rust-toolchain.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

packages_for cc:gcc ld:binutils git:git
# The C library's headers have no command of their own.
[ -e /usr/include/stdlib.h ] || install_packages libc6-dev

if ! command -v cargo >/dev/null 2>&1; then
    # Newer Debian releases package rustup.
    install_packages rustup || {
        say "no Rust toolchain: install rustup (https://rustup.rs), then run this again"
        exit 1
    }
fi
# Fails when the pinned version or one of its components is missing.
if ! { cargo --version && cargo clippy --version && cargo fmt --version; } >/dev/null 2>&1; then
    version=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    say "installing Rust $version"
    rustup toolchain install "$version" --profile minimal --component clippy --component rustfmt >/dev/null
fi
