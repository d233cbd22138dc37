# Sourced by the install scripts: Debian packages, only those that are missing.

say() { printf '%s\n' "$*" >&2; }

# packages_for COMMAND:PACKAGE ... installs the packages whose command is not there.
packages_for() {
    local wanted=() pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || wanted+=("${pair#*:}")
    done
    [ "${#wanted[@]}" -eq 0 ] || install_packages "${wanted[@]}"
}

install_packages() {
    local root=() log
    command -v apt-get >/dev/null 2>&1 || {
        say "missing: $* (no apt-get here: install them by hand)"
        return 1
    }
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || {
            say "missing: $* (run as root or install sudo)"
            return 1
        }
        root=(sudo)
    fi
    say "installing $*"
    log=$(mktemp)
    if ! {
        "${root[@]}" apt-get update -qq &&
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -qq --no-install-recommends "$@"
    } </dev/null >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# stamped NAME FILE... holds when NAME was made from just these files.
stamped() {
    local name=$1
    shift
    [ "$(cat "$CACHE/$name.stamp" 2>/dev/null)" = "$(cat "$@" | sha256sum)" ]
}

# stamp NAME FILE... says that NAME was made from these files.
stamp() {
    local name=$1
    shift
    cat "$@" | sha256sum >"$CACHE/$name.stamp"
}
