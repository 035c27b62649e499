# What to do with this project, one word each.  `make` alone lists them.

PREFIX ?= /usr/local
# Where logrotate looks, whatever the prefix.
SYSCONFDIR ?= /etc
# Where Pacemaker looks, whatever the prefix.
OCFDIR ?= /usr/lib/ocf
DESTDIR ?=
CARGO ?= tests/lab/cargo
INSTALL ?= install
RPMBUILD ?= rpmbuild
# Who answers for packages that `make deb` and `make rpm` make; Debian's tools take it from the same variables.
MAINTAINER ?= $(if $(DEBEMAIL),$(or $(DEBFULLNAME),$(DEBEMAIL)) <$(DEBEMAIL)>,ldirectord in Rust <nobody@ldirectord-rs.invalid>)
# What `make deb` fetches and builds once, in the target folder, and what else it is told.
CARGO_DEB = 3.8.0
CARGO_DEB_OPTIONS ?=

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
# In a recipe: the folder of what is built.
TARGET = $$($(CARGO) metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

.DEFAULT_GOAL := help
.PHONY: help build test lab lab-shell demo bench install uninstall deb rpm clean-lab

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
	target=$(TARGET) && \
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
	$(INSTALL) -D -m 644 contrib/sysusers.d/ldirectord.conf "$(DESTDIR)$(PREFIX)/lib/sysusers.d/ldirectord.conf"
	test -e "$(DESTDIR)$(SYSCONFDIR)/logrotate.d/ldirectord" || \
	$(INSTALL) -D -m 644 contrib/logrotate/ldirectord "$(DESTDIR)$(SYSCONFDIR)/logrotate.d/ldirectord"
	$(INSTALL) -d "$(DESTDIR)$(OCFDIR)/resource.d/heartbeat"
	sed 's|=/usr/sbin/|=$(PREFIX)/sbin/|' contrib/ocf/ldirectord-rs >"$(DESTDIR)$(OCFDIR)/resource.d/heartbeat/ldirectord-rs"
	chmod 755 "$(DESTDIR)$(OCFDIR)/resource.d/heartbeat/ldirectord-rs"
	$(INSTALL) -D -m 644 ldirectord.cf.example "$(DESTDIR)$(PREFIX)/share/doc/ldirectord/ldirectord.cf.example"
	$(INSTALL) -m 644 README.md LICENSE "$(DESTDIR)$(PREFIX)/share/doc/ldirectord/"
	$(INSTALL) -d "$(DESTDIR)$(PREFIX)/share/doc/ldirectord/webhook"
	$(INSTALL) -m 644 contrib/webhook/*.json "$(DESTDIR)$(PREFIX)/share/doc/ldirectord/webhook/"

## make uninstall  removes what make install puts there, but for what is in SYSCONFDIR
uninstall:
	files=$$(mktemp -d) && \
	$(MAKE) install DESTDIR="$$files" && rm -r "$$files$(SYSCONFDIR)" && \
	(cd "$$files" && find . ! -type d -print0) | (cd "$(DESTDIR)/" && xargs -0 rm -f) && \
	rm -r "$$files" && \
	rmdir --ignore-fail-on-non-empty "$(DESTDIR)$(PREFIX)/share/doc/ldirectord/webhook" "$(DESTDIR)$(PREFIX)/share/doc/ldirectord"

## make deb        a package that replaces Debian's ldirectord, in target/debian; fetches cargo-deb
deb: build
	@command -v dpkg-shlibdeps >/dev/null || { \
		echo "make deb: cannot find out what the program depends on: there is no dpkg-shlibdeps" >&2; \
		echo "hint: apt-get install dpkg-dev" >&2; exit 1; }
	target=$(TARGET) && PATH="$$target/tools/bin:$$PATH" && export PATH && \
	if [ "$$(cargo-deb --version 2>/dev/null)" != "cargo-deb $(CARGO_DEB)" ]; then \
		$(CARGO) install --debug --locked --version $(CARGO_DEB) --root "$$target/tools" cargo-deb; \
	fi && \
	$(CARGO) deb --locked --no-build --package ldirectord --maintainer "$(MAINTAINER)" $(CARGO_DEB_OPTIONS)

## make rpm        the same for distributions of RPM, in target/rpm/RPMS; needs rpmbuild
rpm: build
	target=$(TARGET) && rm -rf "$$target/rpm" && \
	$(MAKE) install DESTDIR="$$target/rpm/files" PREFIX=/usr SYSCONFDIR=/etc && \
	$(RPMBUILD) -bb --define "_topdir $$target/rpm" --define "program_version $(VERSION)" \
		--define "packager $(MAINTAINER)" "$(CURDIR)/contrib/rpm/ldirectord-rs.spec"

## make clean-lab  removes the lab
clean-lab:
	tests/lab/setup --remove
