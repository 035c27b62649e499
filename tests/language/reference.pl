# Runs Debian's ldirectord, unchanged, for one configuration after the other without starting a program for each of
# the dozen looks that it takes at the kernel's table for each server: that would take minutes a file here.
#
#   perl reference.pl LDIRECTORD
#
# In, a line each: a configuration file.  Out, a line each: how ldirectord ended with it (`settled`, when everything
# is installed and it would sleep until the next check, else `exit CODE`).  What it says goes to FILE.said.
#
# Three functions of Perl are other ones for it: `system` and `open` hand the arguments of an ipvsadm to one real
# ipvsadm that goes on (`ipvsadm -R` takes any command, also -L), and `sleep` ends it.  The daemon is not detached.

use strict;
use warnings;
use POSIX ();
use IPC::Open2 ();
# What ldirectord uses, so that it is not compiled for every file.
use Getopt::Long ();
use Pod::Usage ();
use Socket ();
use Socket6 ();
use Sys::Hostname ();
use Sys::Syslog ();
use Digest::MD5 ();

my ($program) = @ARGV;
my ($to, $from, $ipvsadm);

# A line that no command says, to know that one is done.
my $DONE = qr/^Timeout \(tcp tcpfin udp\)/;

sub begin_ipvsadm {
    $ipvsadm = IPC::Open2::open2($from, $to, 'stdbuf -oL ipvsadm -R 2>/dev/null');
    $to->autoflush(1);
}

# What ipvsadm says to these arguments.  It ends at arguments that it does not understand, as it would alone.
sub ipvsadm {
    my ($arguments) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $said = '';
    print {$to} "$arguments\n-L --timeout\n";
    while (my $line = <$from>) {
        return $said if $line =~ $DONE;
        $said .= $line;
    }
    waitpid $ipvsadm, 0;
    begin_ipvsadm();
    return $said;
}

BEGIN {
    no strict 'refs';
    no warnings 'once';
    *CORE::GLOBAL::system = sub {
        # What has to go through a shell does; the brackets of an IPv6 address do not have to.
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
        my $asks = (caller 1)[3] // '';
        # The daemon goes on in this process.
        return 0 if $asks =~ /daemon/;
        return CORE::fork() if $asks =~ /^IPC::|timeout/;
        POSIX::_exit(100);
    };
    *CORE::GLOBAL::sleep = sub { POSIX::_exit(100) };
}

# Understood once; the file's own variables are as in a program, because each process calls it once.
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
        $ENV{PERLIO} = 'perlio';
        @ARGV = ($file, 'start');
        $0 = $program;
        ldirectord();
        POSIX::_exit(101);
    }
    waitpid $child, 0;
    my $code = $? >> 8;
    # It may have ended meanwhile.
    begin_ipvsadm() if waitpid($ipvsadm, POSIX::WNOHANG()) != 0;
    print $code == 100 ? "settled\n" : "exit $code\n";
}
