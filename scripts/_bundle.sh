# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # setup.sh sets and uses variables of these functions
# Sourced by setup.sh: the archive that hosts boot from, and the stack's template. An existing cluster keeps both, unless
# this run asks for others: each would replace every host.

# Sets `bundle` and `template`, files to upload, and `template_key`. Each is empty if it stays as it is.
choose_bundle() {
    local program deployed
    bundle='' template='' template_key=''
    program="$(cd "$root" && "$python" -m infra.deployed --program)" || fail "cannot read the program's files (see above)"
    deployed="$(parameter Program)"
    if is_live && [ "$upgrade" != yes ]; then
        if [ -z "$app" ] && [ "${#settings[@]}" -eq 0 ]; then
            [ "$program" = "$deployed" ] || say "note: this is another version of workmanager than the deployed one; --upgrade deploys it"
            return
        fi
        [ "$program" = "$deployed" ] ||
            fail "this is another version of workmanager than the deployed one; give --upgrade, too, to deploy it"
    fi
    build_bundle
    changes+=("Program=$program")
    template="$private/template.yaml"
    (cd "$root" && "$python" -m infra.template "$partition") >"$template"
    template_key="template/$(digest <"$template").yaml"
}

build_bundle() {
    local flags=(--architecture "$architecture" --output "$private") setting
    read_deployed_bundle
    if [ -n "$app" ] && [ "$app" != none ]; then
        flags+=(--app "$(cd "$app" && pwd)")
    fi
    while IFS= read -r setting; do
        flags+=(--set "$setting")
    done <"$private/settings"
    for setting in ${settings[@]+"${settings[@]}"}; do # the last one wins
        flags+=(--set "$setting")
    done
    say "building the bundle for $architecture"
    bundle="$(cd "$root" && "$python" -m infra.bundle "${flags[@]}")" || fail "cannot build the bundle (see above)"
    changes+=("BundleSha256=$(basename "$bundle" .tar.gz)")
    changes+=("TracesPort=$(cd "$root" && "$python" -m infra.deployed --bundle "$bundle" --traces-port)")
}

# The deployed bundle has the sources of --app and the values of --set of earlier runs. They stay unless this run has
# others: `app` is set, and the file `settings` written.
read_deployed_bundle() {
    local known
    known="$(parameter BundleSha256)"
    : >"$private/settings"
    if [ -z "$known" ]; then
        return
    fi
    if ! s3api get-object --key "bundle/$known.tar.gz" "$private/deployed.tar.gz" >/dev/null 2>&1; then
        say "note: the bucket does not have the deployed bundle; give --app and --set again, if there were any"
        return
    fi
    (cd "$root" && "$python" -m infra.deployed --bundle "$private/deployed.tar.gz" --output "$private/app") >"$private/settings" \
        2>"$private/refusal" || [ -n "$app" ] || fail "$(tail -1 "$private/refusal")"
    if [ -z "$app" ] && [ -d "$private/app" ]; then
        app="$private/app"
    fi
}
