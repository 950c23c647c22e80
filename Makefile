# SPDX-License-Identifier: Apache-2.0
# Treaty. One non-recursive file; V=1 shows the commands. Objects go under $(B).
#   make all            the daemon, the tool, the lab's helpers
#   make check          install what is missing, build, run every test      (as root)
#   make demo           the whole road on real packets                      (as root)
#   make lint           format, layers, purity, size, a second compiler
#   make analyse        cppcheck
#   make bench | soak | fuzz | torture | check-kernel | conformance | install | uninstall | clean
CC	?= gcc
CLANG	?= clang
BPFTOOL	?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
B	?= build
V	?= 0
Q	:= $(if $(filter 1,$(V)),,@)
say	= $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

PREFIX	?= /usr/local
DESTDIR	?=

W	:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	   -Wcast-qual -Wwrite-strings -Wconversion -Wno-sign-conversion -Wvla -Wformat=2 -Werror
SAN	?=
OPT	?= -O2
CPPFLAGS += -D_GNU_SOURCE -Iinclude -I. -I$(B) -isystem /usr/include/libnl3 -isystem /usr/share/include/llhttp
CFLAGS	+= -std=gnu11 $(OPT) -g -fno-omit-frame-pointer -fstack-protector-strong $(SAN) $(W) -MMD -MP
LDFLAGS	+= $(SAN) -Wl,--as-needed
LDLIBS	:= -lbpf -lnl-route-3 -lnl-3 -lmnl -ljansson -lsodium -lssl -lcrypto -levent_openssl \
	   -levent -lcurl -lsqlite3 -linih -lseccomp -lcap-ng -lz -lm

# --- what is built -----------------------------------------------------------------------
BPF_SRC	:= $(wildcard bpf/*.bpf.c)
BPF_OBJ	:= $(BPF_SRC:%.c=$(B)/%.o)
SKEL	:= $(BPF_SRC:%.bpf.c=$(B)/%.skel.h)
BENCH_SKEL := $(patsubst %.bpf.c,$(B)/%.skel.h,$(wildcard tests/bench/*.bpf.c))
LIB_SRC	:= $(filter-out agent/main.c %.bpf.c,$(wildcard agent/*.c agent/*/*.c netlink/*.c bpf/*.c))
CTL_SRC	:= $(wildcard ctl/*.c)
LAB_SRC	:= $(wildcard tests/lab/*.c)
TEST_SRC := $(wildcard tests/unit/test_*.c tests/bpf/test_*.c tests/oracle/test_*.c tests/soak/test_*.c)
BENCH_SRC := $(wildcard tests/bench/bench_*.c)
TORTURE_SRC := $(wildcard tests/torture/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)

LIB_OBJ	:= $(LIB_SRC:%.c=$(B)/%.o)
CORE_OBJ := $(filter %_core.o,$(LIB_OBJ))
LIB	:= $(B)/libtreaty.a
LLHTTP	:= $(B)/llhttp.a
BINS	:= $(if $(wildcard agent/main.c),$(B)/treatyd) $(if $(CTL_SRC),$(B)/treatyctl)
LABS	:= $(LAB_SRC:%.c=$(B)/%)
TESTS	:= $(TEST_SRC:%.c=$(B)/%)
TEST_LDFLAGS_test_ent := -Wl,--wrap=peer_send,--wrap=node_apply,--wrap=node_class_sample,--wrap=node_label_sample
TEST_LDFLAGS_test_witness := -Wl,--wrap=peer_send,--wrap=signer_sign,--wrap=signer_public
TEST_LDFLAGS_test_witness_keys := $(TEST_LDFLAGS_test_witness)
TEST_LDFLAGS_test_kept := $(TEST_LDFLAGS_test_witness)
TEST_LDFLAGS_test_disclosure := -Wl,--wrap=signer_public
TEST_LDFLAGS_test_proven := -Wl,--wrap=signer_public
TEST_LDFLAGS_test_no_memory := -Wl,--wrap=signer_sums,--wrap=signer_key
TEST_LDFLAGS_test_signer_rewrite = $(TEST_LDFLAGS_test_signer_horizon)
TEST_LDFLAGS_test_signer_horizon := -Wl,--wrap=clock_gettime,--wrap=fsync,--wrap=rename,--wrap=unlink,--wrap=write
TEST_LDFLAGS_test_dataplane_pages := -Wl,--wrap=enforcer_findings,--wrap=enforcer_steps_check,--wrap=enforcer_held
TEST_LDFLAGS_test_verify := -Wl,--wrap=peer_tool,--wrap=enforcer_observe
TEST_LDFLAGS_test_ent_crash := $(TEST_LDFLAGS_test_ent)
TEST_LDFLAGS_test_ent_signing := $(TEST_LDFLAGS_test_ent)
TEST_LDFLAGS_test_ent_life := $(TEST_LDFLAGS_test_ent)
TEST_LDFLAGS_test_ent_own := $(TEST_LDFLAGS_test_ent)
TEST_LDFLAGS_test_approval := $(TEST_LDFLAGS_test_ent)
TEST_LDFLAGS_test_review := $(TEST_LDFLAGS_test_ent)
TEST_LDFLAGS_test_ent_void := $(TEST_LDFLAGS_test_ent)
TEST_LDFLAGS_test_ent_ended := $(TEST_LDFLAGS_test_ent)
TEST_LDFLAGS_test_foreign_ent := $(TEST_LDFLAGS_test_ent)
TEST_LDFLAGS_test_owner_ent := $(TEST_LDFLAGS_test_ent)
BENCHES	:= $(BENCH_SRC:%.c=$(B)/%)

all: $(BINS) $(LABS)
	@:
tests: $(TESTS)
skeletons: $(SKEL)
benches: $(BENCHES)
tests: $(B)/tests/torture/torture $(B)/tests/lab/diskfault.so

$(B)/%.bpf.o: %.bpf.c $(wildcard bpf/*.h bpf/*.bpf.c include/treaty/abi.h)
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -O2 -g -fno-strict-aliasing -target bpf -mcpu=v3 -Wall -Wextra -Werror -Iinclude -I. \
		$(if $(filter x86_64-%,$(shell $(CC) -print-multiarch)),,-DWEAK_ORDER) \
		-isystem /usr/include/$(shell $(CC) -print-multiarch) -c -o $@ $<

$(B)/%.skel.h: $(B)/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< > $@.tmp && mv $@.tmp $@

$(B)/%.o: %.c | $(SKEL)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# llhttp's C sources come with Debian's node-llhttp; they are not ours to warn about.
$(B)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(OPT) -g $(SAN) -I/usr/share/include/llhttp -c -o $@ $<
$(LLHTTP): $(B)/llhttp/api.o $(B)/llhttp/http.o $(B)/llhttp/llhttp.o
	$(Q)$(AR) rcs $@ $^

$(LIB): $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/treatyd: $(B)/agent/main.o $(LIB) $(LLHTTP)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/treatyctl: $(CTL_SRC:%.c=$(B)/%.o) $(LIB) $(LLHTTP)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(LABS): %: %.o $(LIB) $(LLHTTP)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lpthread
TEST_LDFLAGS_test_compose := -Wl,--wrap=store_open,--wrap=sse_send,--wrap=signer_attest,--wrap=signer_ready
TEST_LDFLAGS_test_grace := -Wl,--wrap=syscall
TEST_LDFLAGS_test_loop := -Wl,--wrap=timerfd_settime
TEST_LDFLAGS_test_http_handle := -Wl,--wrap=curl_easy_init,--wrap=curl_easy_reset
TEST_LDFLAGS_test_bss := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_bss_settle := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_bss_life := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_bss_early := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_bss_signing := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_bss_void := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_bss_known := -Wl,--wrap=peer_send,--wrap=ledger_chain_put
TEST_LDFLAGS_test_foreign := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_foreign_mcp := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_owner_bss := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_objects := -Wl,--wrap=peer_send
TEST_LDFLAGS_test_consumer_view := -Wl,--wrap=peer_send,--wrap=signer_public
TEST_LDFLAGS_test_transcripts := -Wl,--wrap=peer_send
$(TESTS): %: %.o $(LIB) $(LLHTTP)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $(TEST_LDFLAGS_$(notdir $@)) -o $@ $^ -lcmocka $(LDLIBS) -lpthread
$(BENCH_SRC:%.c=$(B)/%.o): $(BENCH_SKEL)
$(B)/tests/torture/torture: $(TORTURE_SRC:%.c=$(B)/%.o) $(LIB) $(LLHTTP)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# Put under the daemon by test_disk alone.
$(B)/tests/lab/diskfault.so: tests/lab/shim/diskfault.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -o $@ $<
BENCH_LDFLAGS_bench_negotiation := -Wl,--wrap=peer_send,--wrap=peer_tool
$(BENCHES): %: %.o $(LIB) $(LLHTTP)
	$(Q)$(CC) $(LDFLAGS) $(BENCH_LDFLAGS_$(notdir $@)) -o $@ $^ $(LDLIBS) -lpthread

# The operator's shells are tested against nodes and a table that the test plays.
TEST_LDFLAGS_test_oss := -Wl,--wrap=peer_tool,--wrap=mcp_table_add,--wrap=mcp_turn_result,--wrap=mcp_refuse
TEST_LDFLAGS_test_oss_watch := $(TEST_LDFLAGS_test_oss)
TEST_LDFLAGS_test_oss_labels := $(TEST_LDFLAGS_test_oss_watch)
TEST_LDFLAGS_test_owner_oss := -Wl,--wrap=peer_tool

# --- set-up ------------------------------------------------------------------------------
# Every Debian package that a build, a test or the demo needs: installed when it is missing.
DEPS	:= build-essential clang llvm bpftool libbpf-dev libnl-3-dev libnl-route-3-dev libmnl-dev \
	   libjansson-dev libsodium-dev libssl-dev libevent-dev libcurl4-openssl-dev \
	   libsqlite3-dev zlib1g-dev libinih-dev libseccomp-dev libcap-ng-dev libcmocka-dev \
	   node-llhttp linux-libc-dev iproute2 iputils-ping python3 openssl sqlite3 util-linux \
	   procps
LINT_DEPS := clang-format clang-tidy cppcheck universal-ctags libclang-rt-14-dev
BENCH_DEPS := nftables
deps:
	$(Q)tests/lint/deps.sh $(DEPS)
bench-deps:
	$(Q)tests/lint/deps.sh $(DEPS) $(BENCH_DEPS)
lint-deps:
	$(Q)tests/lint/deps.sh $(DEPS) $(LINT_DEPS)

# --- checks ------------------------------------------------------------------------------
check: deps
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)tests/run $(B)
unit: all tests
	$(Q)tests/run $(B) unit
check-kernel: deps
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)tests/kernel/run $(B)
lint: lint-deps
	$(Q)tests/lint/run $(B)
analyse: lint-deps
	$(Q)tests/lint/analyse
core-objects: $(CORE_OBJ)
demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/lab/demo $(B)
# FULL=1: the long windows and counts of every figure
bench: bench-deps
	$(Q)$(MAKE) --no-print-directory all benches
	$(Q)FULL=$(FULL) tests/bench/run $(B)
# make soak SOAK_SECONDS=1800 WIRES_REQUESTS=864000
soak: deps
	$(Q)$(MAKE) --no-print-directory $(B)/tests/soak/test_soak $(B)/tests/soak/test_wires
	$(Q)WIRES_REQUESTS=$(or $(WIRES_REQUESTS),864000) $(B)/tests/soak/test_wires
	$(Q)SOAK_SECONDS=$(or $(SOAK_SECONDS),1800) $(B)/tests/soak/test_soak
conformance: deps
	$(Q)$(MAKE) --no-print-directory all $(B)/test/trust-documents
	$(Q)tests/conformance/run $(B)
# make torture SECONDS=600: the daemons' ledgers, 310 kills; then the store by itself, faster, for a fifth of it
torture: deps
	$(Q)$(MAKE) --no-print-directory all $(B)/tests/torture/torture
	$(Q)tests/torture/daemon.py $(B) $(or $(SECONDS),600) $(or $(KILLS),310)
	$(Q)$(B)/tests/torture/torture $$(($(or $(SECONDS),600) / 5)) $$(($(or $(KILLS),310) / 5)) 6
# make fuzz SECONDS=60 [ONLY="jcs vc"]
fuzz: lint-deps
	$(Q)FUZZ_SECONDS=$(or $(SECONDS),10) FUZZ_ONLY="$(ONLY)" tests/fuzz/run $(B)
# The wires behind a scripted executor, for official suites; never installed.
CONF	:= $(B)/test/treatyd-conformance
$(CONF): $(patsubst %.c,$(B)/%.o,$(wildcard tests/conformance/wires/*.c)) $(LIB) $(LLHTTP)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# Documents that we sign and verify, for an implementation that is not ours.
$(B)/test/trust-documents: $(B)/tests/conformance/trust/documents.o $(LIB) $(LLHTTP)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# Our A2A client as a program, for servers that are not ours.
$(B)/test/a2a-client: $(B)/tests/conformance/wires/client/client.o $(LIB) $(LLHTTP)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
conformance-server: $(CONF)
	$(Q)$(CONF) $(or $(PORT),4400) $(SWITCHES)
install: all
	$(Q)install -D -m 755 $(B)/treatyd $(DESTDIR)$(PREFIX)/sbin/treatyd
	$(Q)install -D -m 755 $(B)/treatyctl $(DESTDIR)$(PREFIX)/bin/treatyctl
	$(Q)for s in 1 5 8; do install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$$s docs/man/*.$$s; done
	$(Q)install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/treaty docs/*.md docs/conf/*.conf
	$(Q)install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	$(Q)sed 's,/usr/local/sbin,$(PREFIX)/sbin,' docs/treatyd.service > \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/treatyd.service
uninstall:
	$(Q)rm -f $(DESTDIR)$(PREFIX)/sbin/treatyd $(DESTDIR)$(PREFIX)/bin/treatyctl \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/treatyd.service
	$(Q)for s in 1 5 8; do (cd docs/man && ls *.$$s) | \
		sed "s,^,$(DESTDIR)$(PREFIX)/share/man/man$$s/," | xargs rm -f; done
	$(Q)rm -rf $(DESTDIR)$(PREFIX)/share/doc/treaty
clean:
	$(Q)rm -rf $(B)

print-%:
	@echo $($*)

.PHONY: all tests benches skeletons deps bench-deps lint-deps check unit check-kernel lint analyse core-objects demo bench soak fuzz torture conformance conformance-server \
	install uninstall clean
.SECONDARY:
.DELETE_ON_ERROR:
# Builds of another kind below this one have their own; who compiles nothing needs none.
ifneq ($(filter-out print-% deps bench-deps lint-deps lint analyse,$(or $(MAKECMDGOALS),all)),)
-include $(shell find $(B)/* -maxdepth 0 ! -name san ! -name fuzz ! -name kernel ! -name test 2>/dev/null | xargs -I{} find {} -name '*.d')
endif
