// How C++ that Rust calls reports its exceptions: null, or the text of the error in memory that the caller frees.
#pragma once

#include <cstring>
#include <exception>

template <typename Body> char *guarded(Body body) {
    try {
        body();
        return nullptr;
    } catch (const std::exception &error) {
        return strdup(error.what());
    } catch (...) {
        return strdup("an unknown C++ exception");
    }
}
