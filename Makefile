# make help         what there is
# MODE=release      debug, asan (with ubsan), tsan, cov: each builds in a folder of its own
# BUILD=build       where everything goes
MODE   ?= release
BUILD  ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)
DATA   ?= ../shared/data

comma := ,
# a line a file; V=1 shows the commands
say = $(if $(or $(V),$(findstring s,$(firstword -$(MAKEFLAGS)))),$(if $(V),,@),@echo '  $(1)	$(2)'; )
FOLDERS := base kernels model rollout reward rl
OUT     := $(BUILD)/$(MODE)

PACKAGES := gcc make pkg-config libjansson-dev libpcre2-dev libyaml-dev libutf8proc-dev libsqlite3-dev libxxhash-dev \
            libgmp-dev libmpfr-dev libmpc-dev libjs-chart.js libseccomp-dev libcurl4-openssl-dev
CHECK_PACKAGES := libcmocka-dev clang clang-format-14 clang-tidy-14 cppcheck libclang-rt-14-dev libomp-14-dev \
                  python3 g++

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
OPT_release := -O2 -g
OPT_debug   := -O0 -g3
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
OPT_tsan    := -O1 -g -fsanitize=thread
OPT_cov     := -O0 -g --coverage
OPT_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -Wno-pass-failed
# no contraction: a*b+c is one rounding only where the source says fma (kernels/README.md, "Exactness")
CFLAGS  := -std=c11 -D_GNU_SOURCE -I. -include base/banned.h $(WARNINGS) -ffp-contract=off -fopenmp -pthread $(OPT_$(MODE))
LDLIBS  := -ljansson -lpcre2-8 -lyaml -lutf8proc -lsqlite3 -lxxhash -lseccomp -lmpc -lmpfr -lgmp -lm
LDFLAGS := -fopenmp -pthread $(OPT_$(MODE))

# kernels/cpu is compiled once for each instruction set; run-time dispatch picks one (kernels/device.c)
ISAS       := scalar $(if $(filter x86_64,$(shell uname -m)),avx2 avx512)
ISA_scalar :=
ISA_avx2   := -mavx2 -mfma
ISA_avx512 := -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma -mprefer-vector-width=512
ISA_OPT    := $(if $(filter release,$(MODE)),-O3)

# kernels/cuda is compiled where nvcc is on the PATH; the program then runs with and without a GPU (kernels/device_cuda.h)
CUDA       ?= $(if $(shell command -v nvcc 2>/dev/null),1,0)
CUDA_ARCHS ?= 80 90a
ifeq ($(CUDA),1)
NVCC       ?= nvcc
CUDA_HOME  ?= $(patsubst %/bin/,%,$(dir $(realpath $(shell command -v $(NVCC)))))
CUDA_SRC   := $(wildcard kernels/cuda/*.c)
CUDA_CU    := $(wildcard kernels/cuda/*.cu)
CUDA_HEADERS := $(wildcard kernels/cuda/*.h kernels/cuda/*.cuh)
NVCC_FLAGS := -std=c++17 -O3 -I. $(if $(filter 90a,$(CUDA_ARCHS)),-DSTROP_SM90A) $(foreach a,$(CUDA_ARCHS),-gencode=arch=compute_$(a),code=sm_$(a)) \
              $(patsubst 80,-gencode=arch=compute_80$(comma)code=compute_80,$(filter 80,$(CUDA_ARCHS))) \
              -Xptxas --warn-on-spills -Werror all-warnings -Xcompiler -Wall,-Wextra,-fno-exceptions,-fno-threadsafe-statics
CFLAGS     += -DSTROP_CUDA
LDLIBS     += -L$(CUDA_HOME)/lib64 -lcudart_static -ldl -lrt
endif

REWARDS := $(patsubst %,reward/%,code http math sandbox)
ROOMS   := $(patsubst %,rl/%,cmd data ranks recipe report run) model/jinja
SOURCES := $(filter-out rl/cmd/main.c,$(foreach f,$(FOLDERS) $(REWARDS) $(ROOMS),$(wildcard $(f)/*.c)))
ISA_SRC := $(wildcard kernels/cpu/*.c)
TESTS   := $(foreach f,$(FOLDERS) $(REWARDS) $(ROOMS),$(wildcard tests/$(f)/*_test.c))
ifneq ($(CUDA),1)
TESTS := $(filter-out tests/kernels/cuda_%,$(TESTS))
endif
HEADERS := $(foreach f,$(FOLDERS) $(REWARDS) $(ROOMS) kernels/cpu tests tests/bench tests/fault,$(wildcard $(f)/*.h)) $(wildcard tests/fault/*.c tests/check/*.c tests/reward/plugins/*.[ch]) \
           $(CUDA_SRC) $(CUDA_CU) $(CUDA_HEADERS)
BENCH_SRC := $(wildcard tests/bench/*.c)

objects = $(patsubst %.c,$(OUT)/%.o,$(filter $(1)/%,$(SOURCES)))
lib_kernels_extra := $(foreach i,$(ISAS),$(patsubst kernels/cpu/%.c,$(OUT)/kernels/cpu/$(i)/%.o,$(ISA_SRC))) \
                     $(patsubst %.c,$(OUT)/%.o,$(CUDA_SRC)) $(patsubst %.cu,$(BUILD)/%.cu.o,$(CUDA_CU))

# what a test of a folder may link: the folder and what it stands on (the include rule of tests/layers.sh)
LIBS_base    := base
LIBS_kernels := kernels base
LIBS_model   := model kernels base
LIBS_rollout := rollout model kernels base
LIBS_reward  := reward base
LIBS_rl      := rl rollout reward model kernels base
libs = $(foreach l,$(LIBS_$(1)),$(OUT)/lib$(l).a)

.PHONY: all setup setup-check demo check quick test bench fuzz fault bundle format install clean help tests lint format-check \
        gpu-check tidy clang-check data-check faults-check sandbox-check code-check reward-check sandbox-bench math-bench \
        template-check
.DELETE_ON_ERROR:
.PRECIOUS: $(OUT)/%.o

all: $(BUILD)/strop ## build build/strop

$(BUILD)/strop: $(OUT)/strop
	@ln -sfn $(MODE)/strop $@

$(OUT)/strop: $(OUT)/rl/cmd/main.o $(call libs,rl)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# with and without CUDA in one build folder: what was built last is seen
$(OUT)/kernels/device_cuda_none.o: $(OUT)/cuda-$(CUDA)
$(OUT)/cuda-$(CUDA):
	@mkdir -p $(@D) && rm -f $(@D)/cuda-[01] && touch $@

$(OUT)/kernels/cuda/%.o: kernels/cuda/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -isystem $(CUDA_HOME)/include -MMD -MP -c -o $@ $<

$(OUT)/tests/kernels/cuda_%.o: CFLAGS += -isystem $(CUDA_HOME)/include
$(OUT)/tests/gpu/%.o: tests/gpu/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -isystem $(CUDA_HOME)/include -MMD -MP -c -o $@ $<

$(BUILD)/%.cu.o: %.cu # the same for every MODE
	@mkdir -p $(@D)
	$(call say,NVCC,$<)$(NVCC) $(NVCC_FLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(OUT)/rl/data/template.o: recipes/templates/r1-zero.txt
CHART_JS := /usr/share/javascript/chart.js/chart.min.js
$(OUT)/rl/report/report.o: $(wildcard rl/report/*) $(CHART_JS)
$(CHART_JS):
	@echo "$@ is missing: make setup installs it (package libjs-chart.js)" >&2; exit 1
$(OUT)/reward/sandbox/root.o: reward/python/zygote.py reward/python/calls.py reward/python/asserts.py

define isa_rule
$(OUT)/kernels/cpu/$(1)/%.o: kernels/cpu/%.c
	@mkdir -p $$(@D)
	$$(call say,CC,$$< ($(1)))$(CC) $(CFLAGS) $(ISA_OPT) -fno-var-tracking $(ISA_$(1)) -DISA=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

define lib_rule
$(OUT)/lib$(1).a: $(call objects,$(1)) $(lib_$(1)_extra)
	@rm -f $$@
	@$(AR) rcs $$@ $$^
$(OUT)/tests/$(1)/%_test: $(OUT)/tests/$(1)/%_test.o $(call libs,$(1))
	@$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka $(LDLIBS)
endef
$(foreach f,$(FOLDERS),$(eval $(call lib_rule,$(f))))

# shared objects that tests/reward/plugin_test loads
PLUGINS := $(patsubst %.c,$(OUT)/%.so,$(wildcard tests/reward/plugins/*.c))
$(OUT)/tests/reward/plugin_test: | $(PLUGINS)
$(OUT)/tests/reward/plugins/%.so: tests/reward/plugins/%.c reward/strop_plugin.h
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -shared -fPIC -o $@ $<

# a test that must know when a step ends, or where a kill fell, has the linker lead calls through it
$(patsubst %,$(OUT)/tests/rl/%_test,train train_setup sft lora replay): LDFLAGS += -Wl,--wrap=progress_step
$(OUT)/tests/rl/refill_test: LDFLAGS += -Wl,--wrap=score_groups
$(OUT)/tests/rl/train_test: LDFLAGS += -Wl,--wrap=sample_groups
$(OUT)/tests/rl/exact_test: LDFLAGS += -Wl,--wrap=model_target_logprobs,--wrap=model_packed_experts

TEST_BINARIES := $(patsubst %.c,$(OUT)/%,$(TESTS))
tests: $(TEST_BINARIES)

CHOSEN_TESTS := $(or $(patsubst %,$(OUT)/%,$(ONLY)),$(TEST_BINARIES))
test: $(CHOSEN_TESTS) ## run all tests of this MODE, or ONLY=tests/kernels/gemm_test
	@tests/run.sh $(CHOSEN_TESTS)

setup: ## install the packages that building and testing need (asks for root only if some are missing)
	@tests/setup.sh $(PACKAGES) $(if $(filter check quick lint fuzz tidy format,$(MAKECMDGOALS)),$(CHECK_PACKAGES))

demo: ## R1-Zero on a tiny base, minutes on two cores
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@echo "R1-Zero on recipes/tiny/base; Ctrl-C once finishes the step and saves"
	@$(BUILD)/strop train recipes/tiny/r1-zero.yaml --output_dir=runs/demo-$(shell date +%Y%m%d-%H%M%S)

format: ## lay all sources out
	clang-format-14 -i $(SOURCES) $(ISA_SRC) $(TESTS) $(BENCH_SRC) $(HEADERS) rl/cmd/main.c

format-check:
	clang-format-14 --dry-run -Werror $(SOURCES) $(ISA_SRC) $(TESTS) $(BENCH_SRC) $(HEADERS) rl/cmd/main.c

clang-check:
	@printf '%s\n' $(SOURCES) $(TESTS) rl/cmd/main.c | xargs -P $(JOBS) -n 8 clang $(CFLAGS) -fsyntax-only
	@for i in $(ISAS); do case $$i in avx2) f='$(ISA_avx2)';; avx512) f='$(ISA_avx512)';; *) f=;; esac; \
	  clang $(CFLAGS) $$f -DISA=$$i -fsyntax-only $(ISA_SRC) || exit 1; done

TIDY_FLAGS := -std=c11 -D_GNU_SOURCE -I. -fopenmp
tidy: ## clang-tidy and cppcheck
	@printf '%s\n' $(SOURCES) rl/cmd/main.c | xargs -P $(JOBS) -n 4 tests/tidy.sh $(TIDY_FLAGS) --
	@tests/tidy.sh $(TIDY_FLAGS) -DISA=scalar -- $(ISA_SRC)
	@cppcheck --quiet --std=c11 -I. -D_GNU_SOURCE --enable=warning,portability --inline-suppr --error-exitcode=1 \
	  --suppress=missingIncludeSystem -j $(JOBS) $(SOURCES) rl/cmd/main.c

lint: format-check tidy
	tests/layers.sh

quick: all test ## the tests, plain

check: ## everything: layout, warnings of two compilers, lint, layers, tests plain, under ASan and UBSan, threads under TSan
	@echo "check, of about 15 minutes on two cores: 1 of 6, build"
	@$(MAKE) -s --no-print-directory -j$(JOBS) all tests
	@echo "check: 2 of 6, layout, clang-tidy, cppcheck, layers"
	@$(MAKE) -s --no-print-directory lint
	@echo "check: 3 of 6, clang's warnings"
	@$(MAKE) -s --no-print-directory -j$(JOBS) clang-check
	@echo "check: 4 of 6, build with ASan and UBSan"
	@$(MAKE) -s --no-print-directory -j$(JOBS) MODE=asan tests
	@echo "check: 5 of 6, build with TSan"
	@$(MAKE) -s --no-print-directory -j$(JOBS) MODE=tsan $(patsubst %,$(BUILD)/tsan/%,$(TSAN_TESTS))
	@$(MAKE) -s --no-print-directory -j$(JOBS) $(FAULT_TESTS)
	@echo "check: 6 of 6, tests"
	@$(FAULTS_SHORT) STROP=$(OUT)/strop tests/run.sh $(TEST_BINARIES) $(patsubst %.c,$(BUILD)/asan/%,$(TESTS)) \
	  $(patsubst %,$(BUILD)/tsan/%,$(TSAN_TESTS)) $(CHECK_SCRIPTS)
FAULT_TESTS := $(patsubst tests/fault/%.c,$(OUT)/tests/fault/%,$(wildcard tests/fault/*.c))
# a quick form of `make fault`, and what a person can get wrong
FAULTS_SHORT := FAULTS=50 RANKS_FAULTS=4 ROWS=200 RESUMES=4 PAGES=8 FILES=12 SIGNALS=10 LOCKS=2 LIMITS=6 EVERY=10
CHECK_SCRIPTS := $(FAULT_TESTS) tests/bad_input.sh tests/resume.sh tests/ranks.sh
TSAN_TESTS := $(patsubst %.c,%,$(wildcard tests/kernels/comm_test.c tests/reward/pool_test.c tests/reward/command_test.c tests/reward/http_test.c))

FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_SECONDS ?= 60
$(OUT)/tests/fuzz/%: $(OUT)/tests/fuzz/%.o $(call libs,rl)
	@$(CC) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LDLIBS)
fuzz: ## libFuzzer on every parser, FUZZ_SECONDS=60 each, or ONLY=gguf_fuzz
	@$(MAKE) -s --no-print-directory -j$(JOBS) MODE=fuzz CC=clang $(patsubst %,$(BUILD)/fuzz/tests/fuzz/%,$(or $(ONLY),$(FUZZERS)))
	@for f in $(or $(ONLY),$(FUZZERS)); do mkdir -p $(BUILD)/corpus/$$f; echo "== $$f"; \
	  $(BUILD)/fuzz/tests/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 \
	    $(BUILD)/corpus/$$f 2>&1 | grep -E 'executed|ERROR|SUMMARY|crash' ; test $${PIPESTATUS[0]} -eq 0 || exit 1; done
fuzz: SHELL := /bin/bash

$(OUT)/tests/reward_check: $(OUT)/tests/reward_check.o $(call libs,reward)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
need_data = test -d "$(DATA)" || { echo "make $@ needs data sets that are not in this repository; name their folder: make $@ DATA=FOLDER" >&2; exit 1; }
reward-check: $(OUT)/tests/reward_check ## (needs DATA=FOLDER) the math checker: recall, self-match, mutations, speed, hostile texts
	@$(need_data)
	@$(OUT)/tests/reward_check $(DATA)

BENCHES := $(OUT)/bench/kernels $(OUT)/bench/step $(OUT)/bench/decode
$(OUT)/bench/kernels: $(OUT)/tests/bench/ops_bench.o $(OUT)/tests/bench/experts_bench.o
$(OUT)/bench/%: $(OUT)/tests/bench/%.o $(call libs,rl)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(call libs,rl) $(LDLIBS)
bench: all $(BENCHES) ## speed beside OpenBLAS, PyTorch and llama.cpp, where they are (tests/bench/run.sh says how to name them)
	@tests/bench/run.sh $(OUT)/bench

math-bench: $(OUT)/bench/math ## (needs DATA=FOLDER) the math checker compared with Math-Verify (PEER_PYTHON=), Hendrycks' and DAPO's
	@$${PEER_PYTHON:-python3} tests/bench/peers/math_peers.py $< $(DATA)

# a fault that must fall at a known place has the linker lead calls through the program
wrap = $(patsubst %,-Wl$(comma)--wrap=%,$(1))
$(OUT)/tests/fault/kill: LDFLAGS += $(call wrap,train_open sample_groups score_groups store_rollout store_step loss_backward optim_step checkpoint_save eval_run report_write)
$(OUT)/tests/fault/matrix: LDFLAGS += $(call wrap,progress_step)
$(OUT)/tests/fault/damage: LDFLAGS += $(call wrap,progress_step)
$(OUT)/tests/fault/disturb: LDFLAGS += $(call wrap,progress_step store_set_patience file_space_left)
$(OUT)/tests/fault/%: $(OUT)/tests/fault/%.o $(call libs,rl)
	@$(CC) $(LDFLAGS) -Wl,-rpath,'$$ORIGIN/lib' -o $@ $^ $(LDLIBS)
fault: all $(FAULT_TESTS) ## kill runs FAULTS=500 times at random instants, damage their files, send signals, fill disks, change keys; resume, compare
	@FAULTS=$(or $(FAULTS),500) $(OUT)/tests/fault/kill
	@$(OUT)/tests/fault/damage
	@$(OUT)/tests/fault/disturb
	@$(OUT)/tests/fault/matrix
	@$(OUT)/tests/fault/ranks
	@STROP=$(OUT)/strop tests/ranks_cut.sh
resume-matrix: $(OUT)/tests/fault/matrix ## each key of the recipe changed at a resume: refused, said or silent (EVERY=8: each eighth key)
	@$<

$(OUT)/tests/check/%: $(OUT)/tests/check/%.o $(call libs,model)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/tests/reward/%_check: $(OUT)/tests/reward/%_check.o $(call libs,reward)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

template-check: $(OUT)/tests/check/jinja ## (needs TEMPLATES=FOLDER) *.jinja files by strop and by jinja2 (PEER_PYTHON=)
	@TZ=UTC $${PEER_PYTHON:-python3} tests/check/chat_templates.py $< $(TEMPLATES)

REPEAT ?= 1
sandbox-check: $(OUT)/tests/reward/sandbox_check ## (needs DATA=FOLDER) hostile programs in the sandbox, REPEAT=1
	@$(need_data)
	@$< $(DATA) $(REPEAT)

faults-check: all ## (needs DATA=FOLDER) faults that people reported; WEIGHTS=MODEL.gguf TEMPLATES=FOLDER for those that need them
	@$(need_data)
	@python3 tests/check/faults.py $(BUILD)/strop $(abspath $(DATA))/faults/turn2.jsonl $(WEIGHTS:%=--weights=%) $(TEMPLATES:%=--templates=%)

data-check: ## (needs DATA=FOLDER) all checks on data sets
	@$(need_data)
	@$(MAKE) -s --no-print-directory -j$(JOBS) $(OUT)/tests/reward_check $(OUT)/tests/reward/sandbox_check $(OUT)/tests/reward/code_check
	@$(MAKE) -s --no-print-directory reward-check | grep -v '^  missed'
	@$(MAKE) -s --no-print-directory sandbox-check DATA=$(DATA)/sandbox_dev
	@$(MAKE) -s --no-print-directory code-check
data-check: SHELL := /bin/bash -o pipefail

code-check: $(OUT)/tests/reward/code_check ## (needs DATA=FOLDER) HumanEval and MBPP: solutions pass, wrong programs do not
	@$(need_data)
	@$< $(DATA)/humaneval.jsonl $(DATA)/mbpp.jsonl

$(OUT)/tests/bench/sandbox: $(OUT)/tests/bench/sandbox.o $(call libs,reward)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
sandbox-bench: $(OUT)/tests/bench/sandbox ## the code reward's speed beside bubblewrap and a plain g++
	@tests/bench/peers/sandbox.sh
	@$<

# programs that compare the GPU with the CPU; they need no library but CUDA's
GPU_TESTS := $(if $(filter 1,$(CUDA)),$(patsubst %.c,$(OUT)/%,$(wildcard tests/gpu/*.c)))
$(OUT)/tests/gpu/%: $(OUT)/tests/gpu/%.o $(call libs,rl)
	@$(CC) $(LDFLAGS) -Wl,-rpath,'$$ORIGIN/lib' -o $@ $^ $(LDLIBS)
gpu-check: bundle $(OUT)/tests/fault/kill ## compare the GPU with the CPU: here if there is one, else in build/bundle on a machine that has it
	@cp tests/gpu/*.sh tests/gpu/torch_grads.py $(GPU_TESTS) $(OUT)/tests/fault/kill $(BUILD)/bundle/
	@cd $(BUILD)/bundle && strip -g strop kill $(notdir $(GPU_TESTS))
	@$(BUILD)/bundle/check.sh

bundle: all $(GPU_TESTS) ## build/bundle: the program with its libraries, for a machine that lacks them
	@rm -rf $(BUILD)/bundle && mkdir -p $(BUILD)/bundle/lib
	@ldd $(OUT)/strop | awk '/=> \// && !/lib(c|m|pthread|dl|rt)\.so/ { print $$3 }' | xargs -I{} cp -L {} $(BUILD)/bundle/lib/
	@$(CC) $(LDFLAGS) -Wl,-rpath,'$$ORIGIN/lib' -o $(BUILD)/bundle/strop $(OUT)/rl/cmd/main.o $(call libs,rl) $(LDLIBS)
	@cp -r recipes $(BUILD)/bundle/

install: all ## into PREFIX (/usr/local)
	install -D -m 755 $(OUT)/strop $(DESTDIR)$(PREFIX)/bin/strop
	install -D -m 644 reward/strop_plugin.h $(DESTDIR)$(PREFIX)/include/strop_plugin.h
	install -D -m 644 reward/python/strop_reward.py $(DESTDIR)$(PREFIX)/share/strop/strop_reward.py
	@mkdir -p $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(OUT)/strop help --man >$(DESTDIR)$(PREFIX)/share/man/man1/strop.1
	$(OUT)/strop help --completion >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/strop

clean: ## remove build/
	rm -rf $(BUILD)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

-include $(shell find $(OUT) $(BUILD)/kernels -name '*.d' 2>/dev/null)
