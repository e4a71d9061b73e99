#!/usr/bin/env python3
"""make_gguf_ends.py - gguf/ends.json: at which tokens llama.cpp ends, for vocabularies with and without keys.

Made with llama-cpp-python 0.3.36 and gguf 0.19.0. Each case: the texts of the tokens behind a common byte vocabulary, the keys
(names without "tokenizer.ggml.", of ids), and the ids for which llama_vocab_is_eog says yes.
"""
import json, os, tempfile
import gguf, llama_cpp

BYTES = 260  # ids below are ordinary tokens
ALL = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]",
       "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "[e~["]
CASES = [
    (["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
      "<|repo_name|>", "<|file_sep|>", "<tool_call>"], dict(eos_token_id=262, bos_token_id=260, padding_token_id=260)),
    (["<|begin_of_text|>", "<|end_of_text|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"], dict(eos_token_id=263)),
    (["<|begin_of_text|>", "<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"], dict(eos_token_id=261, eot_token_id=5, eom_token_id=6)),
    (ALL, dict(eos_token_id=3)),
    (["<|return|>", "<|call|>", "<|end|>", "<|channel|>"], dict(eos_token_id=260)),
    (["<|calls|>", "<|flush|>", "<|end|>"], dict(eos_token_id=260)),
    (["<|return|>", "<|end|>"], dict(eos_token_id=260)),
    (["<|tool_response>", "</s>", "<turn|>"], dict(eos_token_id=262)),
    (["<fim-pad>", "<fim-repo>"], dict(eos_token_id=9)),
    (["<a>", "<reponame>", "[PAD]", "<|file_sep|>"], dict(eos_token_id=9)),
    (["<|fim_pad|>", "<a>", "<b>", "<c>"], dict(eos_token_id=9, fim_pad_token_id=261, fim_rep_token_id=262, fim_sep_token_id=263)),
    (["<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>"],
     dict(eos_token_id=261)),
    (["<|plain|>"], dict(eos_token_id=260)),
]


def alphabet():
    kept = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    return [chr(b) for b in kept] + [chr(0x100 + i) for i in range(256 - len(kept))] + ["ab", "cd", "ef", "gh"]


def write(path, texts, keys):
    w = gguf.GGUFWriter(path, "qwen2")
    w.add_block_count(1)
    w.add_context_length(64)
    w.add_embedding_length(16)
    w.add_feed_forward_length(16)
    w.add_head_count(1)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(alphabet() + texts)
    w.add_token_types([1] * BYTES + [3] * len(texts))
    w.add_token_merges(["a b", "c d", "e f", "g h"])
    for key, value in keys.items():
        w.add_uint32("tokenizer.ggml." + key, value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def ends(path, n):
    options = llama_cpp.llama_model_default_params()
    options.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(path.encode(), options)
    vocab = llama_cpp.llama_model_get_vocab(model)
    found = [i for i in range(n) if llama_cpp.llama_vocab_is_eog(vocab, i)]
    llama_cpp.llama_model_free(model)
    return found


def main():
    llama_cpp.llama_backend_init()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.gguf")
        for texts, keys in CASES:
            write(path, texts, keys)
            rows.append(dict(texts=texts, keys=keys, ends=ends(path, BYTES + len(texts))))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gguf", "ends.json")
    with open(path, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n]\n")


if __name__ == "__main__":
    main()
