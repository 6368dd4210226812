#include "core/parallel/imports.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>

namespace distill {
namespace {

#if defined(__aarch64__)
constexpr uint32_t jump_slot = R_AARCH64_JUMP_SLOT, address_slot = R_AARCH64_GLOB_DAT;
#else
constexpr uint32_t jump_slot = R_X86_64_JUMP_SLOT, address_slot = R_X86_64_GLOB_DAT;
#endif

// The parts of a library's dynamic section that say what it imports.
struct DynamicSection {
  DynamicSection(const dl_phdr_info& library, const ElfW(Phdr) & header) {
    const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(library.dlpi_addr + header.p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      const ElfW(Xword) value = entry->d_un.d_val;
      // glibc has made addresses of the offsets in the file; others leave them.
      const ElfW(Addr) address = value < library.dlpi_addr ? library.dlpi_addr + value : value;
      if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(address);
      if (entry->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(address);
      if (entry->d_tag == DT_JMPREL) calls = reinterpret_cast<const ElfW(Rela)*>(address);
      if (entry->d_tag == DT_PLTRELSZ) calls_size = value / sizeof(ElfW(Rela));
      if (entry->d_tag == DT_RELA) others = reinterpret_cast<const ElfW(Rela)*>(address);
      if (entry->d_tag == DT_RELASZ) others_size = value / sizeof(ElfW(Rela));
      if (entry->d_tag == DT_RELACOUNT) nameless = value;
    }
  }

  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  const ElfW(Rela) * calls = nullptr, *others = nullptr;
  size_t calls_size = 0, others_size = 0;
  size_t nameless = 0;  // of the others, at their beginning
};

bool holds(const dl_phdr_info& library, const void* address) {
  const auto wanted = reinterpret_cast<ElfW(Addr)>(address);
  for (int i = 0; i < library.dlpi_phnum; ++i) {
    const auto& header = library.dlpi_phdr[i];
    const ElfW(Addr) begin = library.dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD && wanted >= begin && wanted < begin + header.p_memsz) return true;
  }
  return false;
}

}  // namespace

Imports::Imports(const void* address, const std::vector<std::string>& prefixes) {
  auto read = [&](const dl_phdr_info& library) {
    if (!holds(library, address)) return false;
    for (int i = 0; i < library.dlpi_phnum; ++i) {
      const auto& header = library.dlpi_phdr[i];
      if (header.p_type == PT_GNU_RELRO) {
        closed_begin_ = library.dlpi_addr + header.p_vaddr;
        closed_end_ = closed_begin_ + header.p_memsz;
      }
      if (header.p_type != PT_DYNAMIC) continue;
      const DynamicSection section(library, header);
      const auto add = [&](const ElfW(Rela) * relocations, size_t first, size_t size) {
        for (size_t k = first; k < size; ++k) {
          const uint32_t type = ELF64_R_TYPE(relocations[k].r_info);
          if (type != jump_slot && type != address_slot) continue;
          const std::string name =
              section.names + section.symbols[ELF64_R_SYM(relocations[k].r_info)].st_name;
          if (std::none_of(prefixes.begin(), prefixes.end(),
                           [&](const auto& prefix) { return name.starts_with(prefix); })) {
            continue;
          }
          slots_.emplace(name,
                         reinterpret_cast<void**>(library.dlpi_addr + relocations[k].r_offset));
        }
      };
      add(section.calls, 0, section.calls_size);
      add(section.others, section.nameless, section.others_size);
    }
    return true;
  };
  ::dl_iterate_phdr(
      [](dl_phdr_info* library, size_t, void* look) {
        return static_cast<int>((*static_cast<decltype(read)*>(look))(*library));
      },
      &read);
}

bool Imports::redirect(const Functions& functions) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (const auto& [name, function] : functions) {
    const auto [begin, end] = slots_.equal_range(name);
    for (auto slot = begin; slot != end; ++slot) {
      const auto word = reinterpret_cast<uintptr_t>(slot->second);
      auto* const first = reinterpret_cast<void*>(word / page * page);
      const bool is_closed = word >= closed_begin_ && word < closed_end_;
      if (is_closed && ::mprotect(first, page, PROT_READ | PROT_WRITE) != 0) return false;
      __atomic_store_n(slot->second, function, __ATOMIC_RELEASE);
      if (is_closed) ::mprotect(first, page, PROT_READ);
    }
  }
  return true;
}

}  // namespace distill
