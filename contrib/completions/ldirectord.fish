# Completion of ldirectord(8) for fish.

set -g __ldirectord_commands start stop restart try-restart reload force-reload reexec status

# The words before the cursor without the program and the options.
function __ldirectord_words
    set -l words (commandline -opc)
    set -e words[1]
    set -l kept
    set -l is_value 0
    for word in $words
        if test $is_value = 1
            set is_value 0
        else if test "$word" = --table
            set is_value 1
        else if not string match -q -- '-*' $word
            set -a kept $word
        end
    end
    printf '%s\n' $kept
end

function __ldirectord_has
    set -l words (__ldirectord_words)
    test "$words" = "$argv"
end

# A configuration has been named, and no command.
function __ldirectord_has_configuration
    set -l words (__ldirectord_words)
    test (count $words) = 1
    and not contains -- $words[1] $__ldirectord_commands validate explain list show table alert
end

function __ldirectord_configurations
    set -l folder /etc/ha.d
    set -q LDIRECTORD_CONFIG_DIR; and set folder $LDIRECTORD_CONFIG_DIR
    for path in $folder/*.cf $folder/conf/*.cf
        string replace -r '.*/' '' $path
    end
    __fish_complete_suffix .cf
end

function __ldirectord_meanings
    ldirectord explain 2>/dev/null | string match -rg '^[ +] (\S+)'
end

complete -c ldirectord -f
complete -c ldirectord -n '__ldirectord_has ""' -s d -l debug -d 'Stay in the foreground and log in detail'
complete -c ldirectord -n '__ldirectord_has ""' -l foreground -d 'Stay in the foreground, and be the daemon in all else'
complete -c ldirectord -n '__ldirectord_has ""' -l table -x -a 'kernel memory' -d 'Whose table is directed'
complete -c ldirectord -n '__ldirectord_has ""' -s h -l help -d 'Print a short help'
complete -c ldirectord -n '__ldirectord_has ""' -s v -l version -d 'Print the version'
for condition in '__ldirectord_has ""' __ldirectord_has_configuration
    complete -c ldirectord -n $condition -a start -d 'Start the daemon'
    complete -c ldirectord -n $condition -a stop -d 'Stop it, and wait until it has gone'
    complete -c ldirectord -n $condition -a restart -d 'Stop it if it runs, then start it'
    complete -c ldirectord -n $condition -a try-restart -d 'Restart it if it runs'
    complete -c ldirectord -n $condition -a reload -d 'Have it read its configuration again'
    complete -c ldirectord -n $condition -a force-reload -d 'The same as reload'
    complete -c ldirectord -n $condition -a reexec -d 'Replace it by a new one, and interrupt nothing'
    complete -c ldirectord -n $condition -a status -d 'Say whether it runs'
end
complete -c ldirectord -n '__ldirectord_has ""' -a validate -d 'Say what is wrong or doubtful in a file'
complete -c ldirectord -n '__ldirectord_has ""' -a explain -d 'Say what a code, a directive or a service means'
complete -c ldirectord -n '__ldirectord_has ""' -a list -d 'List virtual services and servers, and how each is'
complete -c ldirectord -n '__ldirectord_has ""' -a show -d 'Explain how a server is, and why'
complete -c ldirectord -n '__ldirectord_has ""' -a table -d 'Compare the kernel\'s table with a configuration'
complete -c ldirectord -n '__ldirectord_has ""' -a alert -d 'Try the mails and webhooks of a configuration'
complete -c ldirectord -n '__ldirectord_has ""' -a '(__ldirectord_configurations)' -d Configuration
complete -c ldirectord -n '__ldirectord_has validate' -l strict -d 'Take for an error what the Perl ldirectord refuses'
complete -c ldirectord -n '__ldirectord_has validate' -l json -d 'Print one JSON object'
complete -c ldirectord -n '__ldirectord_has validate' -a '(__ldirectord_configurations)' -d Configuration
for option in stats:Counters rate:'Rates a second' thresholds:'Connection thresholds' exact:'Numbers in full' resolve:Names json:'Print one JSON object' watch:'Again every two seconds'
    set -l parts (string split -m 1 : $option)
    complete -c ldirectord -n 'contains -- list (__ldirectord_words)[1]' -l $parts[1] -d $parts[2]
end
complete -c ldirectord -n 'contains -- list (__ldirectord_words)[1]' -l sort -x -a 'address state weight connections rate' -d 'The order of the servers'
complete -c ldirectord -n 'contains -- list (__ldirectord_words)[1]' -l state -x -a 'down maintenance draining unknown failing up standby off' -d 'Only servers that are so'
complete -c ldirectord -n '__ldirectord_has table' -l percent -d 'Print only how many of a hundred services have a server that works'
complete -c ldirectord -n '__ldirectord_has table' -a '(__ldirectord_configurations)' -d Configuration
complete -c ldirectord -n 'contains -- explain (__ldirectord_words)[1]' -a '(__ldirectord_meanings)'
complete -c ldirectord -n '__ldirectord_has alert' -a test
complete -c ldirectord -n '__ldirectord_has alert test' -a '(__ldirectord_configurations)' -d Configuration
