# Runs Debian's ldirectord, unchanged, for one configuration after the other.
#
#   perl reference.pl LDIRECTORD
#
# In, a line each: a configuration file.  Out, a line each: how ldirectord ended with it: `settled` when everything is
# installed and it would now sleep until the next check, else `exit CODE` or `signal NUMBER`.
# What it says of FILE goes to FILE.said.
#
# A program takes 50 ms to start in User-Mode Linux, and ldirectord starts ipvsadm nine times a server.  So a few of
# Perl's own functions are others for it: `system` and `open` hand the arguments of an ipvsadm to one ipvsadm that goes
# on (`ipvsadm -R` takes every command, also -L), `fork` does not leave for the background, and `sleep` ends it.
# Whether that changes anything a trial finds out, with some files and programs as they are.

use strict;
use warnings;
use Fcntl ();
use IPC::Open2 ();
use POSIX ();
# What ldirectord uses, so that it is not read for every file.
use Digest::MD5 ();
use Getopt::Long ();
use Pod::Usage ();
use Socket ();
use Socket6 ();
use Sys::Hostname ();
use Sys::Syslog ();

my ($program) = @ARGV;
my ($to, $from, $ipvsadm);

use constant SETTLED => 100;
use constant SECONDS => 300;

sub begin_ipvsadm {
    $ipvsadm = IPC::Open2::open2($from, $to, 'exec stdbuf -oL ipvsadm -R 2>/dev/null');
    $to->autoflush(1);
}

# What ipvsadm says to these arguments.  It ends at arguments that it does not understand, as it would alone.
sub ipvsadm {
    my ($arguments) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $said = '';
    print {$to} "$arguments\n-L --timeout\n";
    while (my $line = <$from>) {
        return $said if $line =~ /^Timeout \(tcp tcpfin udp\)/;
        $said .= $line;
    }
    waitpid $ipvsadm, 0;
    begin_ipvsadm();
    return $said;
}

BEGIN {
    no strict 'refs';
    *CORE::GLOBAL::system = sub {
        # What a shell would read otherwise it gets; the brackets of an address it leaves alone.
        return CORE::system(@_) unless @_ == 1 && $_[0] =~ m{^/sbin/ipvsadm ([\w\s.:\[\],-]*)$}a;
        ipvsadm($1);
        return 0;
    };
    *CORE::GLOBAL::open = sub (*;$@) {
        if (@_ == 2 && defined $_[1] && $_[1] =~ m{^/sbin/ipvsadm (-L -n.*) 2>&1\|$}) {
            my $said = ipvsadm($1);
            return CORE::open($_[0], '<', \$said);
        }
        # A handle that is a bare word comes as its name.
        if (defined $_[0] && !ref $_[0]) {
            my $handle = \*{ caller() . "::$_[0]" };
            return @_ == 2 ? CORE::open($handle, $_[1]) : CORE::open($handle, $_[1], @_[2 .. $#_]);
        }
        return @_ == 2 ? CORE::open($_[0], $_[1]) : CORE::open($_[0], $_[1], @_[2 .. $#_]);
    };
    *CORE::GLOBAL::fork = sub {
        my $caller = (caller 1)[3] // '';
        return 0 if $caller =~ /daemon/;
        return CORE::fork() if $caller =~ /^IPC::/;
        # With fork=yes a process for each service would begin now, when everything is installed.
        POSIX::_exit(SETTLED);
    };
    *CORE::GLOBAL::sleep = sub { POSIX::_exit(SETTLED) };
}

# Read once.  Each process that calls it does so once, so it is to it as if it were the program.
{
    CORE::open(my $source, '<', $program) or die "cannot read $program: $!";
    local $/;
    my $text = <$source>;
    no strict;
    no warnings;
    eval "sub ldirectord {\n#line 1 $program\n$text\n}\n1" or die $@;
}

begin_ipvsadm();
$| = 1;
while (my $file = <STDIN>) {
    chomp $file;
    my $child = CORE::fork() // die "cannot fork: $!";
    if ($child == 0) {
        CORE::open(STDIN, '<', '/dev/null') or die;
        CORE::open(STDOUT, '>', "$file.said") or die;
        CORE::open(STDERR, '>&', \*STDOUT) or die;
        alarm SECONDS;
        $ENV{PERLIO} = 'perlio';
        @ARGV = ($file, 'start');
        $0 = $program;
        ldirectord();
        POSIX::_exit(SETTLED + 1);
    }
    waitpid $child, 0;
    my $status = $?;
    # It may have ended meanwhile.
    begin_ipvsadm() if waitpid($ipvsadm, POSIX::WNOHANG()) != 0;
    my ($code, $signal) = ($status >> 8, $status & 127);
    print $signal ? "signal $signal\n" : $code == SETTLED ? "settled\n" : "exit $code\n";
}
