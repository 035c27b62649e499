# What to do with this project, one word each.  `make` alone lists them.

PREFIX ?= /usr/local
# Where logrotate looks, whatever the prefix.
SYSCONFDIR ?= /etc
# Where Pacemaker looks, whatever the prefix.
OCFDIR ?= /usr/lib/ocf
DESTDIR ?=
CARGO ?= tests/lab/cargo
INSTALL ?= install

.DEFAULT_GOAL := help
.PHONY: help build test lab lab-shell demo bench install deb clean-lab

help:
	@sed -n 's/^## //p' Makefile

## make build      the program, optimised, in target/release; FEATURES=oracle adds the check of Oracle
build:
	$(CARGO) build --release --locked $(if $(FEATURES),--features $(FEATURES))

## make test       everything, also on a real IPVS kernel (as root; makes the lab first)
test:
	tests/suite

## make lab        what the tests and the demo need to run on a real kernel, in ~/.cache/ldirectord-lab
lab:
	tests/lab/setup

## make lab-shell  a shell in the lab
lab-shell:
	tests/lab/run -i -- bash

## make demo       a director at work on a real kernel, in a minute
demo:
	demo/run

## make bench      ldirectord measured against others, in about five minutes
bench:
	benches/run

## make install    the program and all that goes with it to DESTDIR/PREFIX; README.md lists the files
install: build
	target=$$($(CARGO) metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p') && \
	$(INSTALL) -D -m 755 "$$target/release/ldirectord" "$(DESTDIR)$(PREFIX)/sbin/ldirectord"
	$(INSTALL) -D -m 644 contrib/man/ldirectord.8 "$(DESTDIR)$(PREFIX)/share/man/man8/ldirectord.8"
	$(INSTALL) -D -m 644 contrib/man/ldirectord.cf.5 "$(DESTDIR)$(PREFIX)/share/man/man5/ldirectord.cf.5"
	$(INSTALL) -D -m 644 contrib/completions/ldirectord.bash "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/ldirectord"
	$(INSTALL) -D -m 644 contrib/completions/_ldirectord "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ldirectord"
	$(INSTALL) -D -m 644 contrib/completions/ldirectord.fish "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ldirectord.fish"
	$(INSTALL) -d "$(DESTDIR)$(PREFIX)/lib/systemd/system"
	for unit in ldirectord.service ldirectord@.service; do \
		sed 's|/usr/sbin/|$(PREFIX)/sbin/|' "contrib/systemd/$$unit" >"$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit" && \
		chmod 644 "$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit" || exit; \
	done
	test -e "$(DESTDIR)$(SYSCONFDIR)/logrotate.d/ldirectord" || \
	$(INSTALL) -D -m 644 contrib/logrotate/ldirectord "$(DESTDIR)$(SYSCONFDIR)/logrotate.d/ldirectord"
	$(INSTALL) -d "$(DESTDIR)$(OCFDIR)/resource.d/heartbeat"
	sed 's|=/usr/sbin/|=$(PREFIX)/sbin/|' contrib/ocf/ldirectord-rs >"$(DESTDIR)$(OCFDIR)/resource.d/heartbeat/ldirectord-rs"
	chmod 755 "$(DESTDIR)$(OCFDIR)/resource.d/heartbeat/ldirectord-rs"
	$(INSTALL) -D -m 644 ldirectord.cf.example "$(DESTDIR)$(PREFIX)/share/doc/ldirectord/ldirectord.cf.example"
	$(INSTALL) -m 644 README.md LICENSE "$(DESTDIR)$(PREFIX)/share/doc/ldirectord/"

## make deb        a package that replaces Debian's ldirectord, in target/debian; needs cargo-deb
deb:
	$(CARGO) deb --locked --package ldirectord

## make clean-lab  removes the lab
clean-lab:
	tests/lab/setup --remove
