# shellcheck shell=bash
# Sourced by the other scripts: the virtual environment in .venv. `set_up run`, `set_up dev` or `set_up deploy` installs
# the packages of requirements.txt, requirements-dev.txt or requirements-deploy.txt, and the project itself. Needs bash
# and Python 3.11 or newer, and the network only if those files have changed. Sets `root` and `python`.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="$root/.venv/bin/python"
quiet_pip=(--disable-pip-version-check --quiet)

set_up() {
    local purpose="$1"
    mkdir -p "$root/.venv"
    exec 9>"$root/.venv/.lock"
    if command -v flock >/dev/null; then
        flock 9 # a second script waits here until the first is done
    fi
    if ! _is_ready "$purpose"; then
        _make_venv
        _install "$purpose"
    fi
    exec 9>&-
}

_is_ready() {
    [ -x "$python" ] && [ "$(cat "$root/.venv/.ready-$1" 2>/dev/null)" = "$(_fingerprint "$1")" ]
}

# _fingerprint PURPOSE: of all that the environment depends on. That includes its path: it cannot be moved.
_fingerprint() {
    local files=("$root/pyproject.toml" "$root/requirements.txt")
    if [ "$1" != run ]; then
        files+=("$root"/requirements-*.txt) # one may name another
    fi
    (echo "$root" && cat "${files[@]}") | cksum
}

_make_venv() {
    if "$python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    local system_python
    system_python="$(_find_python)" || _fail "Python 3.11 or newer is required, and not found on the PATH"
    _say "creating .venv with $("$system_python" --version)"
    # Everything but the lock, on which other scripts may be waiting.
    find "$root/.venv" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
    "$system_python" -m venv --without-pip "$root/.venv"
    # The newest pip takes half as long as the one that Python 3.11 brings, and is installed faster than that one.
    if ! "$system_python" -m pip "${quiet_pip[@]}" --python "$python" install pip >/dev/null 2>&1; then
        "$system_python" -c 'import ensurepip' 2>/dev/null || _install_ensurepip "$system_python"
        "$python" -m ensurepip --default-pip >/dev/null
    fi
}

_find_python() {
    local name
    for name in python3.11 python3.12 python3.13 python3.14 python3 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

# Debian and Ubuntu package `ensurepip`, which venv needs, separately.
_install_ensurepip() {
    local version package
    version="$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    package="python$version-venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        _say "installing $package"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package"; } >/dev/null ||
            _fail "could not install $package, which $1 needs to create .venv (see above)"
    else
        _fail "$1 lacks the module ensurepip: install its venv package (Debian, Ubuntu: apt-get install $package)"
    fi
}

# _install PURPOSE: requirements.txt names all that is needed, so that pip has nothing to find out.
_install() {
    local file=requirements.txt options=(--no-deps)
    if [ "$1" != run ]; then
        file="requirements-$1.txt" options=()
    fi
    _say "installing $file"
    rm -f "$root/.venv/.ready-run" "$root/.venv/.ready-$1"
    "$python" -m pip "${quiet_pip[@]}" install ${options[@]+"${options[@]}"} -r "$root/$file" ||
        _fail "could not install $file (see above)"
    local output # shown only if the build fails
    output="$("$python" -m pip "${quiet_pip[@]}" install --no-deps --editable "$root" 2>&1)" ||
        _fail "could not install the project: $output"
    _fingerprint run >"$root/.venv/.ready-run"
    _fingerprint "$1" >"$root/.venv/.ready-$1"
}

_say() { echo "setup: $*" >&2; }

_fail() {
    _say "error: $*"
    exit 1
}
