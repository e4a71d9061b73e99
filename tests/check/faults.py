#!/usr/bin/env python3
"""faults.py - cases of faults that people reported, by kind (development only: the cases are a file beside the checkout).

    faults.py STROP turn2.jsonl [--weights=MODEL.gguf] [--templates=FOLDER] [-v]

A case is a JSON object a line; `part` is hand (it was once wrong) or guard (it was always right). Cases that need a file that
was not given are said to be not run, and never counted as passed. Last lines: a table by kind, then "N passed, N failed"."""
import collections, json, os, re, shutil, struct, subprocess, sys, tempfile

options = dict(a[2:].split("=", 1) for a in sys.argv[3:] if a.startswith("--"))
verbose = "-v" in sys.argv
strop, cases_path = os.path.abspath(sys.argv[1]), sys.argv[2]
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
base = os.path.join(root, "recipes/tiny/base")
work = tempfile.mkdtemp(prefix="strop-faults-")
os.chdir(work)


class NotRun(Exception):
    pass


def run(*words, stdin="", code=None):
    done = subprocess.run([strop, *words], input=stdin.encode(), capture_output=True, timeout=300)
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if code is not None and done.returncode != code:
        raise AssertionError(f"exit {done.returncode}: {err.strip()[:300]}")
    return done.returncode, out, err


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, ensure_ascii=False)


def read_json(path):
    with open(path) as f:
        return json.load(f)


def model(name="model", **edits):
    """A copy of the tiny base; edits of config, generation_config and tokenizer_config by these names."""
    shutil.rmtree(name, ignore_errors=True)
    shutil.copytree(base, name)
    for file, change in edits.items():
        path = f"{name}/{file}.json"
        value = read_json(path) if os.path.exists(path) else {}
        for key, item in change.items():
            value.pop(key, None) if item == "(removed)" else value.__setitem__(key, item)
        write_json(path, value)
    return name


def generate(target, *more, prompt="User: 7, 3, 9 make 30. Reply with <think> </think> <answer> </answer>.\nAssistant:"):
    rc, out, err = run("generate", target, "--json", "--temperature=1", "--max_tokens=100", f"--prompt={prompt}", *more)
    if rc:
        return None, err
    return json.loads(out.splitlines()[0]), err


# ---- verdicts ----

def verdict(case):
    fields = {k: v for k, v in case.items() if k not in ("id", "kind", "fault", "reward", "equal", "strop", "part", "why", "note")}
    if "prompt_ends_with" in fields:                        # the rendered prompt opened the thinking
        fields["prompt"] = "User: What is 2+3?\nAssistant: " + fields.pop("prompt_ends_with")
    rc, out, err = run("score", f"--reward={case['reward']}", "-", stdin=json.dumps(fields) + "\n")
    score = json.loads(out.splitlines()[0])["score"] if out.strip() else None
    assert (score == 1) == case["equal"], f"score {score}, equal should be {case['equal']}: {out.strip()[:200]}{err[:200]}"


def prefilled(case):
    row = {"prompt": "User: What is 2+3?\nAssistant: " + case["prompt_ends_with"], "completion": case["completion"]}
    rc, out, err = run("score", f"--reward={case['reward']}", "-", stdin=json.dumps(row) + "\n")
    assert rc or json.loads(out)["score"] == 1, out


# ---- chat templates ----

def render_strop(jinja, messages, bos):
    name = model(tokenizer_config={"bos_token": bos} if bos else {})
    with open(f"{name}/chat_template.jinja", "w") as f:
        f.write(jinja)
    line = json.dumps({"prompt": messages})
    return run("generate", name, "--template=chat", "--prompts=-", "--json", "--max_tokens=1", "--max_positions=256", stdin=line + "\n")


def chat_template(case):
    rc, out, err = render_strop(case["jinja"], case["messages"], case.get("bos_token"))
    assert rc == 0, err
    got = json.loads(out.splitlines()[0])["prompt"]
    assert got == case["want"], f"{got!r} is not {case['want']!r}"


def chat_template_edit(case):
    if "templates" not in options:
        raise NotRun("needs --templates=FOLDER with the stock templates of models")
    import datetime
    sys.path.insert(0, os.path.join(root, "tests/golden"))
    import jinja_reference
    wanted = case["stock_text"]
    stocks = []
    for folder, _, files in os.walk(options["templates"]):
        for file in sorted(files):
            text = open(os.path.join(folder, file), errors="replace").read()
            if file.endswith(".jinja") and (wanted in text or wanted.startswith("(start")) and case["name"].split(",")[0].split()[0].lower().replace("-", "") in file.lower().replace("-", "").replace("_", ""):
                stocks.append((file, text))
    if wanted.startswith("the else branch"):
        turn = re.compile(r"\{\{-? '<\|im_start\|>system\\n[^']*<\|im_end\|>\\n' \}\}")
        found = [(f, open(os.path.join(folder, f), errors="replace").read()) for folder, _, files in os.walk(options["templates"])
                 for f in sorted(files) if re.search(r"qwen.?2.?5", f.lower()) and f.endswith(".jinja")]
        edited = [(f, turn.sub("", t)) for f, t in found if turn.search(t)]
    elif wanted.startswith("(start"):
        edited = [(f, case["edited_text"].removesuffix(" put in front") + t) for f, t in stocks]
    elif wanted in "".join(t for _, t in stocks) and "branch" not in case["edited_text"] and case["edited_text"] != "nothing":
        edited = [(f, t.replace(wanted, case["edited_text"])) for f, t in stocks]
    else:
        edited = [(f, t.replace(wanted, "{% if enable_thinking %}" + wanted + "{% else %}{{'<｜Assistant｜>'}}{% endif %}")) for f, t in stocks]
    if not edited:
        raise NotRun(f"no stock template in {options['templates']} has the text that is edited")
    jinja_reference.strftime_now = lambda text: datetime.datetime.now().strftime(text)
    messages = [{"role": "user", "content": "What is 2+3?"}]
    for file, jinja in edited:
        bos = "<|begin_of_text|>"
        want, _ = jinja_reference.render(jinja, {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True, "bos_token": bos})
        rc, out, err = render_strop(jinja, messages, bos)
        if rc == 0:
            got = json.loads(out.splitlines()[0])["prompt"]
            assert got == want, f"{file}: {got!r} is not {want!r}"
        else:
            assert "template" in err, err


# ---- models ----

def broken_weights(case):
    name = model()
    path = f"{name}/model.safetensors"
    data = bytearray(open(path, "rb").read())
    size, = struct.unpack_from("<Q", data)
    entry = json.loads(data[8:8 + size])[case["tensor"]]
    at = 0
    for i, extent in zip(case["index"], entry["shape"]):
        at = at * extent + i
    value = float(case["value"])
    kind = {"F32": "<f", "F16": "<e"}.get(entry["dtype"])
    where = 8 + size + entry["data_offsets"][0]
    if kind:
        struct.pack_into(kind, data, where + at * struct.calcsize(kind), value)
    else:
        struct.pack_into("<H", data, where + at * 2, struct.unpack("<I", struct.pack("<f", value))[0] >> 16)
    open(path, "wb").write(data)
    recipe = os.path.join(root, "recipes/tiny/r1-zero.yaml")
    quick = ["--max_steps=3", "--prompts_per_step=4", "--num_generations=4", "--eval_num_prompts=4", "--max_completion_length=32"]
    commands = [["check", recipe], ["train", recipe, "--output_dir=broken-run"], ["eval", recipe]]
    for words in commands:
        shutil.rmtree("broken-run", ignore_errors=True)
        rc, out, err = run(*words, f"--model_name_or_path={os.path.abspath(name)}", *quick)
        if words[0] == "check" and rc == 0:
            continue  # looking at weights is allowed to be left to the commands that read them
        assert rc != 0 and case["tensor"] in err, f"{words[0]}: exit {rc}, {err.strip()[-200:]}"
    result, err = generate(name)
    assert result is None and case["tensor"] in err, f"generate: {result} {err[-200:]}"


def end_tokens(case):
    text = case["case"]
    if "GGUF" in text or "convert" in text:
        if "weights" not in options:
            raise NotRun("needs --weights=qwen-coder-0.5b.gguf")
        if "convert" in text:
            shutil.rmtree("converted", ignore_errors=True)
            run("convert", options["weights"], "converted", code=0)
            for file in ("config.json", "generation_config.json"):
                ids = read_json(f"converted/{file}").get("eos_token_id")
                assert {151645, 151643} <= set(ids), f"{file}: {ids}"
            shutil.rmtree("converted")
            return
        result, err = generate(options["weights"], "--special", "--temperature=0", "--max_tokens=24", prompt=case["prompt"])
        assert result["finish"] == "eos" and result["tokens"][-1] == 151643, result
        return
    if "11 ids" in text:
        name = model(config={"eos_token_id": list(range(500, 510)) + [0]}, generation_config={"eos_token_id": "(removed)"})
    elif "tokenizer_config" in text:
        name = model(config={"eos_token_id": 9}, generation_config={"eos_token_id": 9})
        result, err = generate(name)
        assert (result and result["tokens"][-1] == 0 and result["finish"] == "eos") or "warning" in err, (result, err)
        return
    elif "[null]" in text or "[7.0]" in text:
        value = [None] if "null" in text else [7.0]
        name = model(config={"eos_token_id": value}, generation_config={"eos_token_id": "(removed)"})
        result, err = generate(name)
        assert (result is None and "eos_token_id" in err) or (result and 0 not in result["tokens"][:-1]), (result, err)
        if result is None:
            return
    elif text.startswith("config 0"):
        name = model(config={"eos_token_id": 0}, generation_config={"eos_token_id": 9})
    else:
        name = model(config={"eos_token_id": None}, generation_config={"eos_token_id": [0, 4]})
        result, err = generate(name)
        assert result["finish"] == "eos" and result["tokens"][-1] in (0, 4), result
        return
    result, err = generate(name)
    assert result and result["finish"] == "eos" and result["tokens"][-1] == 0, (result, err)


def config(case):
    edit = dict(case["edit"])
    if "tie_word_embeddings" in edit:
        name = model()
        path = f"{name}/model.safetensors"
        data = open(path, "rb").read()
        size, = struct.unpack_from("<Q", data)
        header = json.loads(data[8:8 + size])
        embed = header["model.embed_tokens.weight"]
        first, last = embed["data_offsets"]
        end = max(e["data_offsets"][1] for k, e in header.items() if k != "__metadata__")
        header["lm_head.weight"] = dict(embed, data_offsets=[end, end + last - first])
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        body = data[8 + size:]
        other = bytes(body[first + 8:last]) + bytes(body[first:first + 8])
        open(path, "wb").write(struct.pack("<Q", len(text)) + text + body + other)
        result, err = generate(name)
        assert "lm_head" in err, f"silent: {err}"
        return
    want = case["want"]
    theta = float(re.search(r"theta (\d+)", want).group(1)) if "theta" in want else 10000.0
    plain = {"rope_theta": theta, "rope_parameters": "(removed)"}
    scaling = edit.get("rope_scaling")
    if scaling:
        plain["rope_scaling"] = {k: v for k, v in scaling.items() if k != "rope_theta"}
    edited, err = generate(model("edited", config=edit))
    if edited is None:
        assert "refused" in want, err
        return
    canonical, err = generate(model("canonical", config=plain))
    unscaled, _ = generate(model("unscaled", config={"rope_theta": theta}))
    assert edited["logprob"] == canonical["logprob"] and edited["tokens"] == canonical["tokens"], (edited, canonical)
    assert not scaling or edited["logprob"] != unscaled["logprob"], "the scaling has no effect"


def added_tokens(case):
    name = model()
    where = case["where"]
    if where.startswith("added_tokens.json"):
        write_json(f"{name}/added_tokens.json", {"<tool>": 500})
    elif "added_tokens_decoder" in where:
        name = model(tokenizer_config={"added_tokens_decoder": {"500": {"content": "<tool>", "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}}})
    elif "extra_special_tokens" in where:
        name = model(tokenizer_config={"extra_special_tokens": ["<tool>"]})
    else:
        write_json(f"{name}/special_tokens_map.json", {"additional_special_tokens": ["<tool>"]})
    result, err = generate(name, "--special", "--max_tokens=1", prompt=case["text"])
    if result is None:
        assert "<tool>" in err, err
        return
    n = int(re.search(r"(\d+) prompt tokens", err).group(1))
    assert n == 5, f"{n} prompt tokens"


# ---- runs ----

def eval_unjudged(case):
    reward = case["reward"]
    if reward.startswith("command"):
        value = "float('nan')" if "nan" in reward else "None"
        with open("fn.py", "w") as f:
            f.write(f"def fn(completions, **kwargs):\n    return [{value}] * len(completions)\n")
        reward = f"command:run=python3 {os.path.join(root, 'reward/python/strop_reward.py')} fn.py:fn"
    with open("rows.jsonl", "w") as f:
        f.write(json.dumps(case["row"]) + "\n")
    common = [base, "--template=none", f"--reward={reward}", "--max_completion_length=16", "--max_prompt_length=64", "--limit=0", "--json"]
    rc, out, err = run("eval", "--dataset_name=rows.jsonl", *common)
    assert rc == 1 and err.strip() and ("judged" in err or "field" in err or "missing" in err or "cannot" in err), f"exit {rc}: {out} {err}"
    if out.strip():
        assert json.loads(out)["pass@1"] is None, out


def lr(case):
    shutil.rmtree("lr-run", ignore_errors=True)
    run("train", os.path.join(root, "recipes/tiny/r1-zero.yaml"), f"--learning_rate={case['lr']}", f"--lr_scheduler_type={case['schedule']}",
        f"--warmup_steps={case['warmup']}", f"--max_steps={case['max_steps']}", "--prompts_per_step=2", "--num_generations=2", "--eval_on_start=false",
        "--eval_on_end=false", "--eval_steps=0", "--max_completion_length=16", "--output_dir=lr-run", code=0)
    rows = [json.loads(line) for line in open("lr-run/metrics.jsonl")]
    got = [row["learning_rate"] for row in rows if "learning_rate" in row]
    assert len(got) == len(case["want"]) and all(abs(a - b) < 1e-9 * max(b, 1e-9) + 1e-12 for a, b in zip(got, case["want"])), got


def sft_end(case):
    """Trains on two turns and looks at what the model is most certain of after the reply."""
    llama = "Llama" in case["case"]
    tokenizer = read_json(os.path.join(base, "tokenizer.json"))
    first = 1 + max([*tokenizer["model"]["vocab"].values(), *(t["id"] for t in tokenizer["added_tokens"])])  # ids follow each other
    texts = ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"] if llama else ["<|im_start|>", "<|im_end|>"]
    names = {first + i: text for i, text in enumerate(texts)}
    turn_end, ids = ("<|eot_id|>", [first + 2, first + 1, first]) if llama else ("<|im_end|>", [0, first + 1])
    name = model(config={"eos_token_id": ids}, generation_config={"eos_token_id": ids})
    for i, text in names.items():
        tokenizer["added_tokens"].append({"id": i, "content": text, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False})
    write_json(f"{name}/tokenizer.json", tokenizer)
    jinja = "{% for m in messages %}{{ '[' + m['role'] + ']' + m['content'] + '" + turn_end + "' }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
    open(f"{name}/chat_template.jinja", "w").write(jinja)
    with open("sft.jsonl", "w") as f:
        for i in range(40):
            f.write(json.dumps({"prompt": [{"role": "user", "content": "Say yes."}], "completion": "yes"}) + "\n")
    recipe = {"method": "sft", "model_name_or_path": os.path.abspath(name), "dataset_name": os.path.abspath("sft.jsonl"), "template": "chat",
              "max_prompt_length": 64, "prompts_per_step": 8, "learning_rate": 0.001, "max_steps": 30, "output_dir": "sft-run", "tokens_per_micro_batch": 256}
    open("sft.yaml", "w").write("".join(f"{k}: {json.dumps(v)}\n" for k, v in recipe.items()))
    shutil.rmtree("sft-run", ignore_errors=True)
    run("train", "sft.yaml", code=0)
    line = json.dumps({"prompt": [{"role": "user", "content": "Say yes."}]})
    rc, out, err = run("generate", "sft-run", "--template=chat", "--prompts=-", "--json", "--temperature=0", "--max_tokens=16", stdin=line + "\n")
    result = json.loads(out.splitlines()[0])
    want = next(i for i, text in names.items() if text == turn_end)
    assert result["tokens"][-1] == want and result["finish"] == "eos", result


drivers = {"gsm8k": verdict, "math": verdict, "math_kinds": verdict, "choice": verdict, "code": verdict, "prefilled": prefilled,
           "chat_template": chat_template, "chat_template_edit": chat_template_edit, "broken_weights": broken_weights, "end_tokens": end_tokens,
           "config": config, "added_tokens": added_tokens, "eval_unjudged": eval_unjudged, "lr": lr, "sft_end": sft_end}

table = collections.OrderedDict()
reasons = collections.Counter()
for line in open(os.path.join(root, cases_path) if not os.path.isabs(cases_path) else cases_path):
    case = json.loads(line)
    counts = table.setdefault((case["kind"], case["part"]), collections.Counter())
    try:
        drivers[case["kind"]](case)
        counts["passed"] += 1
    except NotRun as why:
        counts["not run"] += 1
        reasons[str(why)] += 1
    except Exception as problem:  # a crash of a driver is a failure, too
        counts["failed"] += 1
        print(f"FAILED  {case['id']} {case['kind']} ({case['part']}): {type(problem).__name__}: {str(problem)[:400]}")
        if verbose:
            print("        " + json.dumps(case, ensure_ascii=False)[:600])
print(f"{'kind':20} {'part':6} {'right':>6} {'wrong':>6} {'not run':>8}")
for (kind, part), counts in table.items():
    print(f"{kind:20} {part:6} {counts['passed']:6} {counts['failed']:6} {counts['not run']:8}")
for why, n in reasons.items():
    print(f"not run ({n}): {why}")
passed, failed = (sum(c[k] for c in table.values()) for k in ("passed", "failed"))
shutil.rmtree(work)
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
