# Two commands from a fresh clone: `make demo` and `make test`. All of them can be repeated and run in any order.

PYTHON ?= python3
export PYTHON
thawline := $(or $(CARGO_TARGET_DIR),target)/debug/thawline

# An empty LIBTORCH means none: .cargo/config.toml then names the one that `fetch` links to .libtorch.
ifeq ($(strip $(LIBTORCH)),)
unexport LIBTORCH
endif

.DEFAULT_GOAL := help
.PHONY: help demo test build lint fetch schemas reference docs fuzz clean toolchain

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: build ## compare fine-tuning with feature extraction on solar-cell photographs
	$(PYTHON) scripts/fetch.py weights data
	$(thawline) run experiments/elpv-demo.yaml
	@echo "The report: $(CURDIR)/reports/elpv-demo/report.md"

test: build fetch ## run every test
	$(PYTHON) scripts/test_fetch.py
	$(PYTHON) scripts/test_language_server.py
	cargo test --locked

build: toolchain ## build thawline into target/debug
	$(PYTHON) scripts/fetch.py libtorch
	cargo build --locked

lint: ## check formatting, clippy with warnings denied, licences and known vulnerabilities
	@scripts/check_toolchain.sh lint
	cargo fmt --check
	$(PYTHON) scripts/fetch.py libtorch tools
	cargo clippy --locked --all-targets -- -D warnings
	scripts/deny.sh

fetch: toolchain ## fetch libtorch, weights, data and test photographs into the cache folder
	$(PYTHON) scripts/fetch.py

schemas: build ## write the JSON Schemas of the YAML files anew
	$(thawline) schema pipeline > schemas/pipeline.schema.json
	$(thawline) schema experiment > schemas/experiment.schema.json

reference: build ## write docs/reference anew
	$(PYTHON) scripts/reference_docs.py $(thawline)

docs: ## build the book of docs/ into target/book
	scripts/book.sh

# Wants `rustup toolchain install nightly` and `cargo install cargo-fuzz`; no libtorch. SECONDS_EACH says how long.
fuzz: ## fuzz the reader of checkpoints for five minutes
	mkdir -p fuzz/corpus/checkpoint
	cp tests/reference/checkpoints/* fuzz/corpus/checkpoint/
	cargo +nightly fuzz run checkpoint -- -max_total_time=$(or $(SECONDS_EACH),300) -rss_limit_mb=512 -timeout=10 -max_len=16384

clean: ## delete what was built; what was fetched and what ran stays
	cargo clean

toolchain:
	@scripts/check_toolchain.sh
