//! The patterns that matter one by one, and all of them and thousands more against the real Perl.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::*;

const TEXTS: &[&[u8]] = &[
    b"",
    b"\n",
    b"OK",
    b"OK\n",
    b"OK\r\n",
    b"OK\n\n",
    b"ok",
    b"not OK at all",
    b"a",
    b"b",
    b"ab",
    b"aab",
    b"aaab\n",
    b"abab",
    b"AbAB",
    b"abc\nabc\n",
    b"a\nb\nc",
    b"a b\tc",
    b"a1_2-3.4",
    b"x{3}y{,2}z{foo}",
    b"xxx",
    b"xx",
    b"caf\xe9",
    b"caf\xc3\xa9 \xa0\x85",
    b"\x00\x01\x07\x08\x1b\x7f\xff",
    b"<html>\r\n<body class=\"x\">It works!</body>\n</html>\n",
    b"T\\Q.E]}^$|()",
    b"HTTP/1.1 200 OK: service=up; load=0.42, users=17",
];

/// What Perl says to each text, for each pattern: `1` found, `0` not found, `E` not a pattern.
fn perl(patterns: &[Vec<u8>]) -> Vec<String> {
    let script = r#"
        no warnings;
        my @texts = map { pack "H*", $_ } split / /, <STDIN> =~ s/\n//r, -1;
        while (my $line = <STDIN>) {
            chomp $line;
            my $pattern = pack "H*", $line;
            my $answers = "";
            for my $text (@texts) {
                my $found = eval { $text =~ /$pattern/ ? 1 : 0 };
                $answers .= defined $found ? $found : "E";
            }
            print "$answers\n";
        }
    "#;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let texts: Vec<_> = TEXTS.iter().map(|text| hex(text)).collect();
    let lines: Vec<_> = patterns.iter().map(|pattern| hex(pattern)).collect();
    let mut perl = Command::new("perl")
        .args(["-e", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("perl (Debian's perl-base) is needed to compare with");
    let input = format!("{}\n{}\n", texts.join(" "), lines.join("\n"));
    let mut stdin = perl.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = perl.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn ours(pattern: &[u8]) -> Result<String, PatternError> {
    let pattern = Pattern::new(pattern)?;
    Ok(TEXTS.iter().map(|text| if pattern.is_match(text) { '1' } else { '0' }).collect())
}

/// The patterns on which we differ from Perl; those that we refuse as not supported are left out.
fn differences(patterns: &[Vec<u8>]) -> Vec<String> {
    let answers = perl(patterns);
    assert_eq!(answers.len(), patterns.len());
    let compare = |(pattern, theirs): (&Vec<u8>, String)| {
        let ours = match ours(pattern) {
            Ok(answers) => answers,
            Err(fault) if fault.message.contains("not supported") => return None,
            Err(_) => "E".repeat(TEXTS.len()),
        };
        // Perl refuses some braces for the sake of what they might mean one day.
        if theirs.contains('E') && pattern.contains(&b'{') {
            return None;
        }
        let shown = String::from_utf8_lossy(pattern);
        (ours != theirs).then(|| format!("{shown}\n  perl {theirs}\n  ours {ours}"))
    };
    patterns.iter().zip(answers).filter_map(compare).collect()
}

/// One pattern of every kind; every escape; every corner of the dialect that somebody may write.
const PATTERNS: &[&str] = &[
    "OK",
    "^OK$",
    "OK$",
    r"OK\Z",
    r"OK\z",
    "^ok",
    "(?i)^ok$",
    "It works!",
    "It.*works",
    "(?s)html.*/html",
    "html.*/html",
    "(?m)^abc$",
    "(?m)^$",
    "(?m)^",
    "(?m)$",
    "(?m)^c",
    "(?m)^a*$",
    "(?m)b$",
    "^$",
    "$",
    r"\A\z",
    "OK$\n",
    "(OK$)\n",
    "(OK$|b)\n",
    "(OK|b$)$",
    "a$b",
    r"OK\Z\n",
    "(?:OK$)?\n$",
    "(a$)+",
    "$^",
    "^*",
    "$*",
    r"\b+",
    r"\bOK\b",
    r"\BK",
    r"a\b",
    r"\d+",
    r"\D",
    r"\w\W\w",
    r"\s\S",
    r"\h",
    r"\H",
    r"\v",
    r"\V",
    r"\R",
    r"\R\n",
    r"\R$",
    r"\N",
    r"\N{3}",
    r"\X",
    r"K\K",
    r"\Ga",
    "x{3}",
    r"x\{3\}",
    "x{3}y",
    "x{,2}",
    "x{,3}y",
    "^x{,2}$",
    "z{foo}",
    "x{",
    "x{}",
    "x{1",
    "x{1,",
    "{",
    "{foo}",
    "{3}",
    "x{2,1}",
    "x{ 1, 2 }y?$",
    "x{65534}",
    "x{99999}",
    "a{2}{3}",
    "a**",
    "a+*",
    "a*?b",
    "a+?b",
    "a??b",
    "a*+b",
    "a++ab",
    "a?+b",
    "a{1,2}+b",
    "(?>a+)ab",
    "(?>a|ab)b",
    "(a)(b)",
    r"(a)\1",
    r"(a|b)\1",
    r"(?i)(ab)\1",
    r"(?i)a(?-i)b",
    "(?i:a)B",
    "a(?i)b|b",
    "((?i)a)B",
    r"(?<x>a)\k<x>",
    r"(?<x>a)\k{x}",
    r"(?'x'a)\k'x'",
    r"(?P<x>a)(?P=x)",
    r"(a)\g1",
    r"(a)\g{1}",
    r"(a)(b)\g{-2}",
    r"(a)(b)\g-1",
    r"(?<x>a)\g{x}",
    r"\1(a)",
    r"\1",
    r"(a)\2",
    r"\g{3}",
    r"\k<no>",
    "(?=OK)O",
    "(?!OK)O",
    "(?<=n)o",
    "(?<!n)o",
    "a(?=b)",
    "a(?!b)",
    "(?<=a)b",
    "(?=a)*b",
    "(?(1)a|b)",
    "(a)?(?(1)b|c)",
    "(?<y>a)?(?(<y>)b|c)",
    "(?#comment)OK",
    "O(?#comment)K",
    "O(?#comment)+K",
    "(?#no end",
    "(?x) O K # end",
    "(?x)O\\ K",
    "(?x)a [ b]",
    "(?xx)a [ b]",
    "(?x)a + b",
    "(?x: a ) b",
    "(?^i)ok",
    "(?i)(?^)ok",
    "(?i)(?^:ok)",
    "(?n)(a)",
    r"(?n)(a)\1",
    "(?z)",
    "(?i)*",
    "(?i",
    "(?",
    "(",
    ")",
    "a)",
    "()",
    "(|a)b",
    "a|",
    "|a",
    "a||b",
    "(*)",
    "*",
    "+a",
    "?",
    "|*",
    "(?:*)",
    "[abc]",
    "[^abc]",
    "[a-c]",
    "[c-a]",
    "[]a]",
    "[^]a]",
    "[a",
    "[",
    "[]",
    "[a-]",
    "[-a]",
    r"[\w-]",
    r"[\w-z]",
    r"[a-\d]",
    "[a\\]b]",
    r"[\n\t]",
    r"[\b]",
    r"[\e\a]",
    r"[\x41-\x43]",
    r"[\d.]+",
    "[[:alpha:]]",
    "[[:^alpha:]]",
    "[[:nope:]]",
    "[[:alpha]",
    "[[alpha:]]",
    "[[:digit:]-]",
    "(?i)[a]B",
    "(?i)[^a]",
    "(?i)[[:upper:]]",
    "[&&a]",
    "[a&&b]",
    "[a--b]",
    "[a~~b]",
    "[[a]",
    "[a^]",
    "[$]",
    r"[\$]",
    "[.]",
    "[|]",
    "[(]",
    r"[\h]",
    r"[\v]",
    r"[\R]",
    r"[\N]",
    r"[\0]",
    r"[\1]",
    r"[\8]",
    r"[\x]",
    r"[\cA]",
    r"[\o{101}]",
    r"[\x{41}]",
    r"\x41",
    r"\x{62}",
    r"\x{ 62 }",
    r"\x{263a}",
    r"[\x{263a}a]",
    r"\x",
    r"\x4",
    r"\xe9",
    r"\xC3\xA9",
    r"\o{141}",
    r"\o{}",
    r"\141",
    r"\0",
    r"\01",
    r"\012",
    r"\12",
    r"\18",
    r"\8",
    r"\cA",
    r"\c[",
    r"\c",
    r"\N{U+61}",
    r"\e",
    r"\a",
    r"\t",
    r"\f",
    r"\r\n",
    r"\n",
    r"\Q.\E",
    r"\Test",
    r"\T",
    r"\y",
    r"\i",
    r"\_",
    r"\ ",
    r"\-",
    r"\/",
    r"\#",
    r"\<",
    r"\>",
    r"\@",
    r"\%",
    r"\]",
    r"\}",
    r"\.",
    r"\\",
    r"\$",
    r"\^",
    "]",
    "}",
    "a]",
    "a}",
    "@",
    "%",
    "#",
    "/",
    "<html>",
    "\"x\"",
    "'",
    ",",
    ";",
    "&",
    "~",
    "`",
    "!",
    ":",
    "=",
    r"200 OK: service=(up|down); load=0\.\d+",
    ".",
    "^.$",
    "(?s)^.$",
    "(?s).\\z",
    "a.b",
    "(?s)a.b",
    "(?-s)a.b",
    "(?s-i:a.b)",
    r"\b{wb}",
    r"\pL",
    r"\p{Alpha}",
    "(?R)",
    "(?1)",
    "(?&x)",
    "(?{1})",
    "(??{1})",
    "(*FAIL)",
    "(?|(a)|(b))",
    "(?i)\\x41b",
    "(?i)caf\\xc9",
    "(?i)[\\xc9]",
    "(?<1x>a)",
    "(?<>a)",
    "(?<x",
    "a\\",
    "(a|a)*b(?=c)",
    "(?:a|b)+?b$",
    "((((a))))",
    "(?<=^)O",
    "(?<=\\n)b",
    "(?m)(?<=^)b",
    "(?=.*load)(?=.*users)HTTP",
    "^(?!.*down).*up",
    "(?i)(?=ok)",
    "(?=OK$)",
    "(?!$)",
    "(?<!^)$",
];

#[test]
fn every_kind_of_pattern_means_what_it_means_to_perl() {
    let mut patterns: Vec<_> = PATTERNS.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
    patterns.extend([
        b"caf\xe9".to_vec(),
        b"(?i)caf\xe9$".to_vec(),
        b"[\xe0-\xef]".to_vec(),
        b"\xa0+\x85".to_vec(),
        b"\x00\x01".to_vec(),
        b"\xe9*$".to_vec(),
    ]);
    let differences = differences(&patterns);
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Pieces that make patterns when strung together; most of what comes out is one.
const PIECES: &[&str] = &[
    "a", "b", "c", "OK", "x", "3", ".", "^", "$", r"\n", r"\d", r"\w", r"\s", r"\b", r"\B", r"\Z",
    r"\z", r"\A", "|", "(", ")", "(?:", "(?=", "(?!", "(?<=a)", "(?<!b)", "(?>", "(?i)", "(?m)",
    "(?s)", "(?i:", "(?m:", "(?x)", " ", "#", "*", "+", "?", "*?", "+?", "*+", "{2}", "{1,2}",
    "{,2}", "{", "}", "[ab]", "[^a]", "[a-c-]", r"[\d_]", "]", r"\1", r"\h", r"\R", r"\.", "(a)",
    "(b|c)", "\n",
];

/// Thousands of them, the same every time; some are no patterns.
fn strung_together() -> Vec<Vec<u8>> {
    // Marsaglia's xorshift.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    let mut pattern = || {
        let mut pattern = String::new();
        for _ in 0..=random(6) {
            pattern.push_str(PIECES[random(PIECES.len())]);
        }
        // Closing what was opened makes more of them patterns.
        let open = pattern.matches('(').count().saturating_sub(pattern.matches(')').count());
        pattern.push_str(&")".repeat(open));
        pattern.into_bytes()
    };
    (0..4_000).map(|_| pattern()).collect()
}

#[test]
fn thousands_of_patterns_mean_what_they_mean_to_perl() {
    let patterns = strung_together();
    let understood = patterns.iter().filter(|pattern| Pattern::new(pattern).is_ok()).count();
    assert!(understood > 2_000, "{understood}");
    let differences = differences(&patterns);
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn most_patterns_take_linear_time() {
    let is_linear = |pattern: &str| {
        matches!(Pattern::new(pattern.as_bytes()).unwrap().inner.engine, Engine::Linear(_))
    };
    for pattern in
        ["OK$", "(?i)it works", "(?m)^up", r"(a$|b\Z)", "x{,3}", r"[[:alpha:]]+\h", "^(200|204)$"]
    {
        assert!(is_linear(pattern), "{pattern}");
    }
    for pattern in ["OK$\n", "(?=a)", r"(a)\1", "a++", r"\R"] {
        assert!(!is_linear(pattern), "{pattern}");
    }
}

#[test]
fn a_fault_says_where() {
    let fault = |pattern: &str| {
        let fault = Pattern::new(pattern.as_bytes()).unwrap_err();
        (fault.at, fault.message)
    };
    let at = |at, message: &str| (Some(at), message.to_owned());
    assert_eq!(fault("ab(c"), at(2, "the group that begins here has no end"));
    assert_eq!(fault("ab)c"), at(2, "this bracket closes nothing"));
    assert_eq!(fault("ab[c"), at(2, "the class that begins here has no end"));
    assert_eq!(fault("a**"), at(2, "a quantifier follows a quantifier"));
    assert_eq!(fault("a|*"), at(2, "a quantifier follows nothing"));
    assert_eq!(fault(r"a\"), at(1, "a backslash stands at the end"));
    assert_eq!(fault("(?R)"), at(0, "recursion is not supported"));
    let (place, message) = fault("((((x{1000}){1000}){1000}){1000})");
    assert_eq!(place, None);
    assert!(message.starts_with("the pattern cannot be used: "), "{message}");
    assert!(Pattern::new("(".repeat(100_000).as_bytes()).is_err());
    assert!(Pattern::new("(?:".repeat(100_000).as_bytes()).is_err());
    assert!(Pattern::new([b"[a".repeat(1_000), b"]".repeat(1_000)].concat().as_slice()).is_ok());
}

#[test]
fn a_match_without_end_is_none() {
    // Perl would try two to the power of thirty ways.
    let pattern = Pattern::new(br"^(?:(a|a)\1?)*$(?<=b)").unwrap();
    assert!(!pattern.is_match(&[b"a".repeat(60), b"c".to_vec()].concat()));
}

#[test]
fn a_large_text_is_not_looked_at_again_and_again() {
    let is_match = |pattern: &[u8], text: &[u8]| Pattern::new(pattern).unwrap().is_match(text);
    let text = b"x".repeat(1 << 20);
    // What must be there is not, and so nothing is tried.
    assert!(!is_match(b"(?=.*load)(?=.*users)HTTP", &text));
    assert!(is_match(b"(?<=x)y", &[text.clone(), b"y".to_vec()].concat()));
    assert!(is_match(br"(y)\1", &[text.clone(), b"yzyy".to_vec()].concat()));
    // It may be anywhere, and each place costs a look at all that follows: that ends when the effort is spent.
    let pattern = Pattern::new(b"(?s)(?=.*load).*x(?!x*y)").unwrap();
    let Engine::Backtracking { exact, relaxed } = &pattern.inner.engine else {
        panic!("{pattern:?}")
    };
    let text = [b"x".repeat(1000), b"xy".to_vec(), b"load x".to_vec()].concat();
    assert!(search(exact, relaxed.as_ref(), &text, text.len()).is_some());
    let text = b"x".repeat(1000);
    assert!(search(exact, relaxed.as_ref(), &text, EFFORT).is_none());
    assert!(search(exact, relaxed.as_ref(), &b"x".repeat(100_000), 300_000).is_none());
}

#[test]
fn a_match_ends_where_its_first_part_does() {
    let end = |pattern: &[u8], text: &[u8]| Pattern::new(pattern).unwrap().find_end(text);
    assert_eq!(end(b"b+", b"abba b"), Some(3));
    assert_eq!(end(b"b+?", b"abba b"), Some(2));
    assert_eq!(end(b"c", b"abba b"), None);
    assert_eq!(end(b"x*", b"abba"), Some(0));
    // Backtracking.
    assert_eq!(end(br"(b)\1", b"abba b"), Some(3));
    assert_eq!(end(b"(?<=b)a(?= )", b"abba b"), Some(4));
    assert_eq!(end(b"(?<=c)a", b"abba b"), None);
}

#[test]
fn patterns_are_compared_as_written() {
    let pattern = |source: &[u8]| Pattern::new(source).unwrap();
    assert_eq!(pattern(b"a+"), pattern(b"a+").clone());
    assert_ne!(pattern(b"a+"), pattern(b"aa*"));
    assert_eq!(pattern(b"a+").source(), b"a+");
    assert_eq!(format!("{:?}", pattern(b"a+")), "Pattern(\"a+\")");
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn are_a_pattern_or_a_fault(source: Vec<u8>, text: Vec<u8>) {
            if let Ok(pattern) = Pattern::new(&source) {
                pattern.is_match(&text);
            }
        }
    }
}

fn found(pattern: &[u8]) -> Found {
    Pattern::new(pattern).unwrap().found()
}

#[test]
fn a_pattern_that_is_found_nowhere_is_known() {
    for pattern in [
        "a^b",
        "$x",
        "a$b",
        r"[^\s\S]",
        r"x\by",
        r"-\b-",
        r"a\B-",
        "a(?m:^)b",
        r"\n\A",
        r"(x$)y|z\Ay",
        "x{2,1}",
        r"(?:a\b){2}",
        r"\x{100}",
        r"(?=x)a^",
        r"OK\z\n",
        "(?m)a$b",
    ] {
        assert_eq!(found(pattern.as_bytes()), Found::Never, "{pattern}");
    }
    for pattern in
        ["^", "$", "^.*", ".*", "a*", "OK|", "^(up)?", r"\s*$", "(?i)(ok)*", "", "a{0}", "(?m)a*$"]
    {
        assert_eq!(found(pattern.as_bytes()), Found::Always, "{pattern}");
    }
    for pattern in [
        "a",
        "^.*$",
        "^$",
        "OK$\n",
        r"OK\Z\n",
        "(?m)a$\n^b",
        "^a?b?$",
        "^^a",
        "a$$",
        r"(x\b)+",
        r"(a\b|-)*b",
        r"\b",
        r"\B",
        r"(?:a\b){0,2}-",
        r"(?m)(^a$\n){3}",
        r"(a)\1",
        "(?!a)",
        r"\R",
    ] {
        assert_eq!(found(pattern.as_bytes()), Found::Sometimes, "{pattern}");
    }
}

/// What is said of a pattern holds for every text that it is tried with.
#[test]
fn nothing_is_said_of_a_pattern_that_a_text_belies() {
    let listed = PATTERNS.iter().map(|pattern| pattern.as_bytes().to_vec());
    let mut told = [0, 0];
    for source in strung_together().into_iter().chain(listed) {
        let Ok(pattern) = Pattern::new(&source) else { continue };
        let shown = String::from_utf8_lossy(&source);
        match pattern.found() {
            Found::Never => {
                told[0] += 1;
                assert!(!TEXTS.iter().any(|text| pattern.is_match(text)), "{shown}");
            }
            Found::Always => {
                told[1] += 1;
                assert!(TEXTS.iter().all(|text| pattern.is_match(text)), "{shown}");
            }
            Found::Sometimes => {}
        }
    }
    assert!(told[0] > 100 && told[1] > 100, "{told:?}");
}
