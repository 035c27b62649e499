# Completion of ldirectord(8) for bash.

# As ldirectord looks for them: in its folder by name, elsewhere by path. Not by `compgen -W`, which would have the shell
# read names of files as its own language.
_ldirectord_configurations() {
    local folder=${LDIRECTORD_CONFIG_DIR:-/etc/ha.d} path
    compopt -o filenames 2>/dev/null
    for path in "$folder"/*.cf "$folder"/conf/*.cf; do
        [[ -f $path && ${path##*/} == "$1"* ]] && COMPREPLY+=("${path##*/}")
    done
    while IFS= read -r path; do
        COMPREPLY+=("$path")
    done < <(compgen -f -X '!*.cf' -- "$1"; compgen -d -- "$1")
}

_ldirectord_words() {
    local word=$1
    shift
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(compgen -W "$*" -- "$word")
}

_ldirectord() {
    local word=$2 before=$3 first= second= rest=0 at
    local commands='start stop restart try-restart reload force-reload reexec status'
    COMPREPLY=()
    # What stands before the word: options, then CONFIG or a command.
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
            --table) ((at++)) ;;
            -*) ;;
            *)
                ((++rest == 1)) && first=${COMP_WORDS[at]}
                ((rest == 2)) && second=${COMP_WORDS[at]}
                ;;
        esac
    done
    if [[ $before == --table ]]; then
        _ldirectord_words "$word" kernel memory
        return
    fi
    case $rest,$first in
        0,)
            if [[ $word == -* ]]; then
                _ldirectord_words "$word" -d --debug --foreground --table -h --help -v --version
            else
                _ldirectord_words "$word" "$commands" validate explain list show table alert
                _ldirectord_configurations "$word"
            fi
            ;;
        *,validate)
            if [[ $word == -* ]]; then
                _ldirectord_words "$word" --strict --json --help
            else
                _ldirectord_configurations "$word"
            fi
            ;;
        *,explain)
            _ldirectord_words "$word" "$(ldirectord explain 2>/dev/null | sed -n 's/^[ +] \([^ ][^ ]*\).*/\1/p')"
            ;;
        *,list)
            case $before in
                --sort) _ldirectord_words "$word" address state weight connections rate ;;
                --state) _ldirectord_words "$word" down maintenance draining unknown failing up standby off ;;
                *) _ldirectord_words "$word" --stats --rate --thresholds --exact --sort --state --resolve --json --watch --help ;;
            esac
            ;;
        *,show) ;;
        *,table)
            if [[ $word == -* ]]; then
                _ldirectord_words "$word" --percent --help
            else
                _ldirectord_configurations "$word"
            fi
            ;;
        1,alert) _ldirectord_words "$word" test ;;
        2,alert) [[ $second == test ]] && _ldirectord_configurations "$word" ;;
        1,start | 1,stop | 1,restart | 1,try-restart | 1,reload | 1,force-reload | 1,reexec | 1,status) ;;
        1,*) _ldirectord_words "$word" "$commands" ;;
    esac
    return 0
}

complete -F _ldirectord ldirectord
